-- sweep_leases: steps whose holder stopped renewing its lease: it is dead, paused or cut off. They are re-driven.
-- ARGV limit grace_ms
-- answers {how many leases ran out, {<job>.<step>, queue, specialist, ...}}; the caller enqueues these where no MESSAGE is set.
-- Repeating it, or a second sweeper, finds those that are left.
-- USES clock progress offer redrive
local at, steps = now(), {}
local lost = redis.call('ZRANGEBYSCORE', INDEX.leases, '-inf', at, 'LIMIT', 0, ARGV[1])
for _, member in ipairs(lost) do
  redis.call('ZREM', INDEX.leases, member)
  redrive(steps, member, at, ARGV[2])
end
return {#lost, steps}
