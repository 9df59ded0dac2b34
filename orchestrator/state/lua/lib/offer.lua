-- offer: steps that nobody holds yet; the sweeper sees them from this moment on. With MESSAGE set, the broker's list gets
-- their message in this same script, so that no crash can come between the record and the message.
local function message(template, job, step, queue, at)
  local f = redis.call('HMGET', OF.job .. job, step .. '.spec', step .. '.no', 'total', 'trace')
  local words = {job = job, step = step, task = f[1], number = f[2], total = f[3], trace = f[4], queue = queue,
    tag = job .. '.' .. step .. '.' .. at}
  return (string.gsub(template, '@(%l+)@', words))
end

local function offer(job, steps, at, templates)
  for i, step in ipairs(steps) do
    local queue = redis.call('HGET', OF.job .. job, step .. '.queue')
    redis.call('HSET', OF.job .. job, step .. '.state', 'ready')
    redis.call('HINCRBY', OF.job .. job, 'live', 1)
    redis.call('ZADD', OF.ready .. queue, at, job .. '.' .. step)
    redis.call('SADD', INDEX.queues, queue)
    if MESSAGE ~= '' then
      local list = queue .. '.' .. TAG
      redis.call('LPUSH', list, message(templates and templates[step] or MESSAGE, job, step, list, at))
    end
  end
end

-- All steps in the plan's order, and a field of each: false where it has none. A command reads many, as a plan may have thousands.
local function every(job, field)
  local steps, names, values = {}, {}, {}
  for step in string.gmatch(redis.call('HGET', OF.job .. job, 'order') or '', '[^,]+') do
    steps[#steps + 1], names[#names + 1] = step, step .. field
  end
  for first = 1, #names, 1000 do
    local read = redis.call('HMGET', OF.job .. job, unpack(names, first, math.min(first + 999, #names)))
    for _, value in ipairs(read) do values[#values + 1] = value end
  end
  return steps, values
end

-- The job ends: nobody holds a step of it any more, and none waits to be claimed. Its messages may still come.
local function withdraw(job)
  local steps, states = every(job, '.state')
  for i, step in ipairs(steps) do
    if states[i] == 'running' then redis.call('ZREM', INDEX.leases, job .. '.' .. step) end
    if states[i] == 'ready' then
      redis.call('ZREM', OF.ready .. redis.call('HGET', OF.job .. job, step .. '.queue'), job .. '.' .. step)
    end
  end
end
