-- pin: before a model is shown tools: are they what they were when the job first saw them?
-- ARGV job step fence tool digest [tool digest ...]
-- answers {OK, {tool, first digest, ...}} those that are others now | STALE state | DEAD why
-- Repeating it answers the same and changes nothing.
-- USES held moves pin
local job, step, others = ARGV[1], ARGV[2], {}
local no = not_ours(job, step, ARGV[3])
if no then return no end
for i = 4, #ARGV, 2 do
  local first = pin(job, step, ARGV[i], ARGV[i + 1], redis.call('HGET', OF.calls .. job, '@' .. ARGV[i]))
  if first then others[#others + 1] = ARGV[i]; others[#others + 1] = first end
end
return {'OK', others}
