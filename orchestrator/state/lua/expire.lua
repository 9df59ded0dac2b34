-- expire: jobs past their deadline fail now; their running steps are told to stop.
-- ARGV limit retention_s
-- answers the jobs that ended. Repeating it finds those that are left; a job that waits for a person has no deadline.
-- USES clock moves settle
local at, ended = now(), {}
for _, job in ipairs(redis.call('ZRANGEBYSCORE', INDEX.deadlines, '-inf', at, 'LIMIT', 0, ARGV[1])) do
  failing(job, '', 'deadline', 'the deadline has passed')
  finish(job, 'failed', at, ARGV[2])
  redis.call('PUBLISH', STOPS, job)
  ended[#ended + 1] = job
end
return ended
