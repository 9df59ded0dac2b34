-- lease: what a claim writes: the right to run a step until the lease ends.
-- USES moves
-- state, fence, tries: the step's, as they were before; answers its new fence
-- the fence is the time, so that a store that lost its tail does not give the same one twice
local function take_lease(job, step, at, ms, state, fence, tries)
  local key, p, taken_as = OF.job .. job, step .. '.', string.format('%.0f', math.max(at, tonumber(fence or 0) + 1))
  if state ~= 'running' then redis.call('HINCRBY', key, 'active', 1) end
  redis.call('HSET', key, p .. 'state', 'running', p .. 'fence', taken_as, p .. 'until', at + ms, p .. 'try', tries + 1)
  redis.call('ZADD', INDEX.leases, at + ms, job .. '.' .. step)
  event(job, 'started', step, tostring(tries + 1))
  return taken_as
end
