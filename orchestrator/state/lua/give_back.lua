-- give_back: a worker that stops hands a step on, as if this attempt had never been.
-- ARGV job step fence grace_ms why (JSON) retention_s
-- answers {OK} | STALE state | DEAD why
-- Repeating it answers STALE, or DEAD where the job was failing and has ended. The message goes out here (outbox), or the
-- next sweep sends it; if it is lost, the sweeper finds the step a grace later.
-- USES clock moves settle offer held
local job, step, at = ARGV[1], ARGV[2], now()
local no = not_ours(job, step, ARGV[3])
if no then return no end
let_go(job, step, 'retrying')
redis.call('HINCRBY', OF.job .. job, step .. '.try', -1)
event(job, 'retrying', step, ARGV[5])
local look_at = at
if MESSAGE ~= '' then
  local list = redis.call('HGET', OF.job .. job, step .. '.queue') .. '.again.' .. TAG
  redis.call('LPUSH', list, message(MESSAGE, job, step, list, at))
  look_at = at + ARGV[4]
end
redis.call('ZADD', INDEX.again, look_at, job .. '.' .. step)
settle(job, at, ARGV[6])
return {'OK'}
