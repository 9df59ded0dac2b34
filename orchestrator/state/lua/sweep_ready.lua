-- sweep_ready: steps that were offered and whose message is gone: fetched by a process that died, or never sent.
-- Known by the progress of their queue, so that a queue which is merely long is left alone.
-- ARGV limit grace_ms asked_ms, then the broker's queues that were empty then (asked by the caller where the broker is elsewhere)
-- answers {unclaimed steps, lost joins, forgotten, {<job>.<step>, queue, specialist, ...}}; the caller enqueues these where
--   no MESSAGE is set. Repeating it, or a second sweeper, finds those that are left; only the marks of the queues follow the time.
-- USES clock progress offer redrive
local at, left, grace, elsewhere = now(), tonumber(ARGV[1]), tonumber(ARGV[2]), {}
for i = 4, #ARGV do elsewhere[ARGV[i]] = true end
local found, steps = {step = 0, join = 0, gone = 0}, {}
for _, queue in ipairs(redis.call('SMEMBERS', INDEX.queues)) do
  local ready = OF.ready .. queue
  if left > 0 and redis.call('ZCARD', ready) > 0 then
    mark(queue, empty_at(queue, at, elsewhere, tonumber(ARGV[3])))
    for _, member in ipairs(redis.call('ZRANGEBYSCORE', ready, '-inf', '(' .. passed(queue, at, grace), 'LIMIT', 0, left)) do
      redis.call('ZREM', ready, member)
      local kind = redrive(steps, member, at, grace) or 'gone'
      found[kind], left = found[kind] + 1, left - 1
    end
  end
end
return {found.step, found.join, found.gone, steps}
