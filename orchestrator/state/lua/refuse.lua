-- refuse: a step came to a worker that does not know its specialist. Others may; after a time the job fails and says so, or,
-- where the step is one to be undone, the worker gives it up.
-- ARGV job step patience_ms message error (JSON) retention_s
-- answers {LEFT, ms since the first refusal} | {FAILED} | {GIVE_UP}: to be undone, and the time is over
--   | {NOTHING, state}: it runs elsewhere, has ended, or is not known
-- A step whose lease ran out is nobody's: its holder, perhaps the only one that knew it, may be dead. Its time counts from there.
-- Repeating it answers LEFT until the time is over, then FAILED once, then NOTHING; or GIVE_UP until it is claimed. The
-- sweeper enqueues it again meanwhile.
-- USES clock moves settle progress held
local job, step, at = ARGV[1], ARGV[2], now()
local key, p = OF.job .. job, ARGV[2] .. '.'
local f = redis.call('HMGET', key, 'status', p .. 'state', p .. 'try', p .. 'refused', 'format', p .. 'until')
local open = f[1] == 'running' or f[1] == 'queued' or is_undo(step)
local abandoned = f[2] == 'running' and tonumber(f[6]) <= at
if not open or not (f[2] == 'ready' or f[2] == 'retrying' or abandoned) or (f[5] and f[5] ~= FORMAT) then
  return {'NOTHING', f[2] or 'no such step'}
end
local try, since = string.match(f[4] or '', '^(%d+):(%d+)$') -- of another attempt: somebody knew it meanwhile
if try ~= f[3] then
  since = at
  redis.call('HSET', key, p .. 'refused', f[3] .. ':' .. string.format('%.0f', at))
end
if abandoned then since = math.max(since, f[6]) end
if at - since < tonumber(ARGV[3]) then return {'LEFT', at - since} end
if is_undo(step) then return {'GIVE_UP'} end
taken(job, step)
if abandoned then let_go(job, step, 'failed') end
redis.call('HDEL', key, p .. 'refused')
redis.call('HSET', key, p .. 'state', 'failed', p .. 'err', ARGV[5], p .. 'fatal', 1)
redis.call('HINCRBY', key, 'live', -1)
redis.call('HINCRBY', key, 'left', -1)
event(job, 'failed', step, ARGV[4])
failing(job, step, 'step', ARGV[4])
settle(job, at, ARGV[6])
return {'FAILED'}
