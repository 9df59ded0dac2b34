-- settle: where does the job stand after a step has moved?
local function settle(job, at, ttl)
  local key = OF.job .. job
  local f = redis.call('HMGET', key, 'left', 'live', 'active', 'parked', 'failing', 'undo')
  if f[6] then return end -- it has ended, and what moves undoes it
  if f[5] then
    if tonumber(f[3]) <= 0 then finish(job, 'failed', at, ttl) end
  elseif tonumber(f[1]) <= 0 then
    finish(job, 'succeeded', at, ttl)
  elseif tonumber(f[2]) <= 0 and tonumber(f[4]) > 0 then
    stop_clock(job, at)
    move(job, 'waiting', at)
  end
end

-- The job will fail: running siblings finish, nothing else starts. The first reason stays.
local function failing(job, step, reason, message)
  if redis.call('HSETNX', OF.job .. job, 'failing', step) == 1 then
    redis.call('HSET', OF.job .. job, 'reason', reason, 'error', message)
  end
end
