-- census: how many there are of what. Reads only, so repeating it changes nothing.
-- ARGV ms for which a process is believed to be alive, statuses...
-- answers {{jobs of each status, ms since the first of them came to it or 0, ...}, {queue, waiting steps, ms since the oldest
--   was offered or 0, ...}, leases, re-driven or retrying, {'<status> <workflow>', jobs that ever came to it, ...},
--   processes that are alive, those that fell silent, bytes that Redis uses, and may use (0: no limit, or it does not say)}
-- USES clock
local at, jobs, queues = now(), {}, {}
local function since(index)
  local first = redis.call('ZRANGE', index, 0, 0, 'WITHSCORES')[2]
  return first and at - first or 0
end
for i = 2, #ARGV do
  jobs[#jobs + 1] = redis.call('ZCARD', OF.jobs .. ARGV[i])
  jobs[#jobs + 1] = since(OF.jobs .. ARGV[i])
end
for _, queue in ipairs(redis.call('SMEMBERS', INDEX.queues)) do
  queues[#queues + 1] = queue
  queues[#queues + 1] = redis.call('ZCARD', OF.ready .. queue)
  queues[#queues + 1] = since(OF.ready .. queue)
end
local alive = redis.call('ZCOUNT', INDEX.workers, at - ARGV[1], '+inf')
local memory = redis.pcall('INFO', 'memory') -- some are not allowed to ask
memory = type(memory) == 'string' and memory or ''
local function bytes(field) return tonumber(string.match(memory, '\n' .. field .. ':(%d+)') or 0) end
return {jobs, queues, redis.call('ZCARD', INDEX.leases), redis.call('ZCARD', INDEX.again), redis.call('HGETALL', INDEX.reached),
  alive, redis.call('ZCARD', INDEX.workers) - alive, bytes('used_memory'), bytes('maxmemory')}
