-- retire: jobs that have ended leave the lists of jobs when their records expire.
-- ARGV limit retention_s
-- answers how many did. Repeating it finds those that are left.
-- USES clock
local retired, before = 0, now() - 1000 * ARGV[2]
for _, status in ipairs({'succeeded', 'failed', 'cancelled'}) do
  local old = redis.call('ZRANGEBYSCORE', OF.jobs .. status, '-inf', before, 'LIMIT', 0, ARGV[1])
  if #old > 0 then retired = retired + redis.call('ZREM', OF.jobs .. status, unpack(old)) end
end
return retired
