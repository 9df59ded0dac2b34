-- pin: what each tool was when a job first saw it: the field @<tool> of its journal is the tool's digest.
-- USES moves
-- Answers the first digest, where it is another one now; each other one is an event, once. An empty digest is not looked at.
-- first: what stands in that field, or false
local function pin(job, step, tool, digest, first)
  local key, name = OF.calls .. job, '@' .. tool
  if digest == '' or first == digest then return end
  if not first then
    redis.call('HSET', key, name, digest)
    return
  end
  if redis.call('HSETNX', key, name .. ' ' .. digest, '') == 1 then
    event(job, 'changed', step, cjson.encode({tool = tool, first = first, now = digest}))
  end
  return first
end
