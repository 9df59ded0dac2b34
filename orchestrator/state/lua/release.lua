-- release: an attempt gives its step back, to be tried again after a delay.
-- ARGV job step fence delay_ms grace_ms why (JSON) retention_s
-- answers {OK, attempt} | STALE state | DEAD why
-- Repeating it answers STALE, or DEAD where the job was failing and has ended. If nobody claims the step by delay + grace, the
-- sweeper re-drives it.
-- USES clock moves settle held
local job, step, at = ARGV[1], ARGV[2], now()
local no = not_ours(job, step, ARGV[3])
if no then return no end
local key = OF.job .. job
let_go(job, step, 'retrying')
redis.call('HSET', key, step .. '.err', ARGV[6])
redis.call('ZADD', INDEX.again, at + ARGV[4] + ARGV[5], job .. '.' .. step)
event(job, 'retrying', step, ARGV[6])
settle(job, at, ARGV[7])
return {'OK', redis.call('HGET', key, step .. '.try')}
