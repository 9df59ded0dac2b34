-- renew: keep the leases of one process, all at once.
-- ARGV lease_ms, then per step: job step fence
-- answers the places, from 0, of those that are not ours any more: stop them. Repeating it only renews again.
-- USES clock held
local at, lost = now(), {}
for i = 2, #ARGV, 3 do
  local job, step, fence = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if not_ours(job, step, fence) then
    lost[#lost + 1] = (i - 2) / 3
  else
    redis.call('HSET', OF.job .. job, step .. '.until', at + ARGV[1])
    redis.call('ZADD', INDEX.leases, at + ARGV[1], job .. '.' .. step)
  end
end
return lost
