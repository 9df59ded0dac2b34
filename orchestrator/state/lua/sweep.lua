-- sweep: which steps does a crash or a lost message keep from moving? They are enqueued once more, by this script (outbox)
-- or by who called it.
-- ARGV limit grace_ms retention_s, then the queues known to be empty (asked by the caller where the broker is elsewhere)
-- answers {lost leases, lost messages, still waiting, {<job>.<step>, queue, specialist, ...}}
-- (1) A lease ran out. (2) A step is not claimed although, a grace ago, steps offered later to the same queue already were,
-- or its queue is empty and its grace is over. (3) It was re-driven and is still not claimed: the wait doubles each time.
-- A second sweeper, or this one again, does not answer the same steps soon.
-- USES clock offer
local at, limit, grace, found, counts = now(), ARGV[1], tonumber(ARGV[2]), {}, {0, 0, 0}
local empty = {}
for i = 4, #ARGV do empty[ARGV[i]] = true end
local function look(kind, index, score)
  for _, m in ipairs(redis.call('ZRANGEBYSCORE', index, '-inf', score, 'LIMIT', 0, limit)) do
    if kind ~= 3 then redis.call('ZREM', index, m) end
    counts[kind] = counts[kind] + 1
    found[#found + 1] = m
  end
end
look(1, INDEX.leases, at)
for _, queue in ipairs(redis.call('SMEMBERS', INDEX.queues)) do
  local n = queue .. ':'
  local mark = redis.call('HMGET', INDEX.marks, n .. 'max', n .. 'mid', n .. 'mid_at', n .. 'old')
  if not mark[3] or at - mark[3] >= grace then
    mark[4] = mark[2] or '0'
    redis.call('HSET', INDEX.marks, n .. 'old', mark[4], n .. 'mid', mark[1] or '0', n .. 'mid_at', at)
  end
  local drained = empty[queue] or MESSAGE ~= '' and redis.call('LLEN', queue .. '.' .. TAG) == 0
  look(2, OF.ready .. queue, drained and at - grace or '(' .. (mark[4] or '0'))
end
look(3, INDEX.again, at)
local answer = {}
for _, m in ipairs(found) do
  local wait = math.min(2 * tonumber(redis.call('HGET', INDEX.waits, m) or grace / 2), 60000)
  redis.call('HSET', INDEX.waits, m, wait)
  redis.call('ZADD', INDEX.again, at + wait, m)
  local job, step = string.match(m, '^(.*)%.([^.]*)$')
  local spec = redis.call('HMGET', OF.job .. job, step .. '.queue', step .. '.spec')
  local queue = spec[1]
  if not queue then -- the job is gone
    redis.call('ZREM', INDEX.again, m)
    redis.call('HDEL', INDEX.waits, m)
  else
    answer[#answer + 1] = m
    answer[#answer + 1] = queue
    answer[#answer + 1] = spec[2]
    if MESSAGE ~= '' then
      redis.call('LPUSH', queue .. '.again.' .. TAG, message(MESSAGE, job, step, queue .. '.again.' .. TAG, at))
    end
  end
end
for _, status in ipairs({'succeeded', 'failed', 'cancelled'}) do
  redis.call('ZREMRANGEBYSCORE', OF.jobs .. status, '-inf', at - 1000 * ARGV[3])
end
return {counts[1], counts[2], counts[3], answer}
