-- clock: milliseconds since 1970 by the server's clock, the only one that counts.
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- The clock stops while a job waits for a person, and goes on with what was left.
local function stop_clock(job, at)
  local deadline = redis.call('HGET', OF.job .. job, 'deadline')
  if deadline and redis.call('ZREM', INDEX.deadlines, job) == 1 then
    redis.call('HSET', OF.job .. job, 'clock_left', math.max(0, deadline - at))
  end
end

local function start_clock(job, at)
  local left = redis.call('HGET', OF.job .. job, 'clock_left')
  if left then
    redis.call('HDEL', OF.job .. job, 'clock_left')
    redis.call('HSET', OF.job .. job, 'deadline', at + left)
    redis.call('ZADD', INDEX.deadlines, at + left, job)
  end
end
