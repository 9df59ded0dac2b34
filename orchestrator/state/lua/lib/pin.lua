-- pin: what each tool was when a job first saw it: the field @<tool> of its journal is the tool's digest.
-- USES moves
-- Answers the first digest, where it is another one now; each other one is an event, once. An empty digest is not looked at.
local function pin(job, step, tool, digest)
  local key, name = OF.calls .. job, '@' .. tool
  if digest == '' or redis.call('HSETNX', key, name, digest) == 1 then return end
  local first = redis.call('HGET', key, name)
  if first == digest then return end
  if redis.call('HSETNX', key, name .. ' ' .. digest, '') == 1 then
    event(job, 'changed', step, cjson.encode({tool = tool, first = first, now = digest}))
  end
  return first
end
