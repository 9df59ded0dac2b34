-- held: does this attempt still hold its step? Answers nil when it does, else {DEAD why} or {STALE}.
-- USES undo
local function not_ours(job, step, fence)
  local f = redis.call('HMGET', OF.job .. job, 'status', step .. '.state', step .. '.fence')
  if f[1] ~= 'running' and not is_undo(step) then return {'DEAD', f[1] or 'no such job'} end
  if f[2] ~= 'running' or f[3] ~= fence then return {'STALE', f[2] or 'no such step'} end
end

-- The attempt ends: nobody holds the step any more.
local function let_go(job, step, state)
  redis.call('HSET', OF.job .. job, step .. '.state', state)
  redis.call('HINCRBY', OF.job .. job, 'active', -1)
  redis.call('ZREM', INDEX.leases, job .. '.' .. step)
end
