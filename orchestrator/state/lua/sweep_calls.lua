-- sweep_calls: calls that were begun and never settled, and whose attempt has ended: it died, gave its step back or waits.
-- They may have been sent, so what they had reserved counts as spent, but for an answer's bytes, and their outcome as unknown.
-- ARGV limit
-- answers {calls looked at, reservations settled}. Repeating it finds those that are left; a call whose attempt goes on is
-- looked at again when its lease would run out.
-- USES clock ledger bytes undo
local at, settled = now(), 0
local due = redis.call('ZRANGEBYSCORE', INDEX.begun, '-inf', at, 'LIMIT', 0, ARGV[1])
for _, member in ipairs(due) do
  local job, step, number = string.match(member, '^(.*)%.([^.]*):(%d+)$')
  local n = step .. ':' .. number .. ':'
  local f = redis.call('HMGET', OF.job .. job, 'status', step .. '.state', step .. '.fence', step .. '.until')
  local c = redis.call('HMGET', OF.calls .. job, n .. 'state', n .. 'held', n .. 'fence')
  local open = c[1] == 'begun' and (f[1] == 'running' or f[1] == 'waiting' or is_undo(step)) -- the end of a job settles what is left
  if open and f[2] == 'running' and f[3] == c[3] and tonumber(f[4]) > at then
    redis.call('ZADD', INDEX.begun, f[4], member)
  else
    redis.call('ZREM', INDEX.begun, member)
    if open then
      charge(job, c[2], unanswered(c[2]))
      redis.call('HSET', OF.calls .. job, n .. 'state', 'unknown', n .. 'held', '')
      settled = settled + 1
    end
  end
end
return {#due, settled}
