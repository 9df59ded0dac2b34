-- emit: a specialist's message to those who watch the job.
-- ARGV job step message
-- answers {OK} | DEAD why. Repeating it tells the message twice.
-- USES moves
local status = redis.call('HGET', OF.job .. ARGV[1], 'status')
if status ~= 'running' then return {'DEAD', status or 'no such job'} end
event(ARGV[1], 'message', ARGV[2], ARGV[3])
return {'OK'}
