-- reply: questions and their answers. An open question is the field q:<id> of the job, a JSON object; answered, it is d:<id>, and
-- its answer a:<id>. `told` counts the answers about the request itself. A question with a deadline is in the index `deadlines`.
-- USES moves
local function stamped(question, name, at)
  return string.format('{"%s":%.3f,', name, at / 1000) .. string.sub(question, 2)
end

local function ask(job, id, question, at, deadline_s)
  redis.call('HSET', OF.job .. job, 'q:' .. id, stamped(question, 'asked_at', at))
  if type(deadline_s) == 'number' then redis.call('ZADD', INDEX.deadlines, at + 1000 * deadline_s, job .. ' ' .. id) end
end

-- The first answer to an open question is kept, with when and by whom (JSON); answers the step that waits for nothing more.
local function accept(job, id, answer, by, at)
  local key = OF.job .. job
  local question = redis.call('HGET', key, 'q:' .. id)
  if not question or redis.call('HSETNX', key, 'a:' .. id, answer) == 0 then return end
  redis.call('HDEL', key, 'q:' .. id)
  redis.call('HSET', key, 'd:' .. id, '{"by":' .. by .. ',' .. string.sub(stamped(question, 'answered_at', at), 2))
  redis.call('ZREM', INDEX.deadlines, job .. ' ' .. id)
  local step = string.match(question, '"step":"([^"]*)"')
  event(job, 'answered', step, id)
  if not step or step == '' then redis.call('HINCRBY', key, 'told', 1)
  elseif redis.call('HINCRBY', key, step .. '.asks', -1) == 0 then return step end
end
