-- census: how many there are of what. Reads only, so repeating it changes nothing.
-- ARGV statuses...
-- answers {{jobs of each status}, {queue, waiting steps, ms since the oldest was offered or 0, ...}, leases, re-driven or retrying}
-- USES clock
local at, jobs, queues = now(), {}, {}
for i, status in ipairs(ARGV) do jobs[i] = redis.call('ZCARD', OF.jobs .. status) end
for _, queue in ipairs(redis.call('SMEMBERS', INDEX.queues)) do
  local oldest = redis.call('ZRANGE', OF.ready .. queue, 0, 0, 'WITHSCORES')[2]
  queues[#queues + 1] = queue
  queues[#queues + 1] = redis.call('ZCARD', OF.ready .. queue)
  queues[#queues + 1] = oldest and at - oldest or 0
end
return {jobs, queues, redis.call('ZCARD', INDEX.leases), redis.call('ZCARD', INDEX.again)}
