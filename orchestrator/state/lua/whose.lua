-- whose: which of these jobs are a tenant's. Reads only, so repeating it changes nothing.
-- ARGV tenant, jobs...
-- answers those of them, in the same order
local found = {}
for i = 2, #ARGV do
  if redis.call('HGET', OF.job .. ARGV[i], 'tenant') == ARGV[1] then found[#found + 1] = ARGV[i] end
end
return found
