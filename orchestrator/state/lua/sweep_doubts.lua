-- sweep_doubts: calls in doubt, sent and with no answer, about which a person is asked.
-- ARGV limit
-- answers {calls in doubt, jobs that wait for one of them, ms since the oldest was asked or 0}, of the oldest `limit`.
-- Repeating it answers the same; what was answered or ended is forgotten.
-- USES clock
local at, open, jobs, whose, oldest = now(), 0, 0, {}, 0
local asked = redis.call('ZRANGE', INDEX.doubts, 0, ARGV[1] - 1, 'WITHSCORES')
for i = 1, #asked, 2 do
  local job, question = string.match(asked[i], '^(%S+) (.*)$')
  local f = redis.call('HMGET', OF.job .. job, 'status', 'q:' .. question)
  if not f[2] or f[1] == 'cancelled' then
    redis.call('ZREM', INDEX.doubts, asked[i])
  elseif f[1] ~= 'failed' then -- a failed job asks again when it is resumed
    open = open + 1
    if not whose[job] then whose[job], jobs = true, jobs + 1 end
    if oldest == 0 then oldest = at - asked[i + 1] end
  end
end
return {open, jobs, oldest}
