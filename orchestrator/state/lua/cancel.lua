-- cancel: end a job now. Running steps can commit nothing any more, and their processes are told to stop them.
-- ARGV job retention_s
-- answers {OK} | ENDED status; repeating it answers ENDED cancelled.
-- USES clock moves
local status = redis.call('HGET', OF.job .. ARGV[1], 'status')
if not status then return {'DEAD', 'no such job'} end
if status == 'succeeded' or status == 'failed' or status == 'cancelled' then return {'ENDED', status} end
finish(ARGV[1], 'cancelled', now(), ARGV[2])
redis.call('PUBLISH', STOPS, ARGV[1])
return {'OK'}
