-- sweep_again: steps that were re-driven, or were to be tried again by now, and that nobody has claimed. Their wait doubles
-- each time; they are enqueued only when the message of the last re-drive is known to be gone.
-- ARGV limit grace_ms asked_ms, then the broker's queues that were empty then (asked by the caller where the broker is elsewhere)
-- answers {due steps, {<job>.<step>, queue, specialist, ...}}: those that are enqueued once more, by the caller where no
--   MESSAGE is set. Repeating it, or a second sweeper, finds those that are left; only the marks of the queues follow the time.
-- USES clock progress offer redrive
if redis.call('ZCARD', INDEX.again) == 0 then return {0, {}} end
local at, grace, elsewhere, gone, steps = now(), tonumber(ARGV[2]), {}, {}, {}
for i = 4, #ARGV do elsewhere[ARGV[i]] = true end
for _, name in ipairs(redis.call('SMEMBERS', INDEX.queues)) do
  local queue = name .. '.again'
  mark(queue, empty_at(queue, at, elsewhere, tonumber(ARGV[3])))
  gone[name] = passed(queue, at, grace / 2)
end
local due = redis.call('ZRANGEBYSCORE', INDEX.again, '-inf', at, 'LIMIT', 0, ARGV[1])
for _, member in ipairs(due) do
  local wait, since = waited(member, grace)
  local job, step = string.match(member, '^(.*)%.([^.]*)$')
  local queue = since and redis.call('HGET', OF.job .. job, step .. '.queue')
  if queue and since >= gone[queue] then again(member, at, wait, since) else redrive(steps, member, at, grace) end
end
return {#due, steps}
