-- root: which of these jobs, that are not sampled, need a root span now that spans of them are kept: each is told once.
-- ARGV job [job ...]
-- answers {OK, {job, workflow, tenant, when it was submitted}, ...}
-- Repeating it after a lost answer tells none of them: those traces are shown without their root.
local told = {'OK'}
for _, job in ipairs(ARGV) do
  local key = OF.job .. job
  local f = redis.call('HMGET', key, 'workflow', 'tenant', 'created')
  if f[3] and redis.call('HSETNX', key, 'rooted', 1) == 1 then told[#told + 1] = {job, f[1], f[2] or '', f[3]} end
end
return told
