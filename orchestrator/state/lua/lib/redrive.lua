-- redrive: enqueue a step once more, in the queue that does not wait behind the backlog, and look again later: after a
-- grace, then after twice as long each time, up to a minute. `waits` keeps <last wait>:<re-driven at>.
-- USES undo
local function again(member, at, wait, since)
  redis.call('HSET', INDEX.waits, member, string.format('%.0f:%.0f', wait, since))
  redis.call('ZADD', INDEX.again, at + wait, member)
end

local function waited(member, grace)
  local wait, since = string.match(redis.call('HGET', INDEX.waits, member) or '', '^(%d+):(%d+)$')
  return math.min(2 * tonumber(wait or grace / 2), 60000), tonumber(since)
end

-- Adds <job>.<step>, queue, specialist to `answer`; a step that moves no more, or is gone, is forgotten.
-- Answers 'join' for a step that a commit freed, 'step' for one that waited for nothing, nil for one that is forgotten.
local function redrive(answer, member, at, grace)
  local job, step = string.match(member, '^(.*)%.([^.]*)$')
  local f = redis.call('HMGET', OF.job .. job, 'status', step .. '.state', step .. '.queue', step .. '.spec', step .. '.deps')
  local moves = f[2] == 'ready' or f[2] == 'running' or f[2] == 'retrying'
  if not moves or f[1] ~= 'queued' and f[1] ~= 'running' and not is_undo(step) then
    redis.call('ZREM', INDEX.again, member)
    redis.call('HDEL', INDEX.waits, member)
    return
  end
  again(member, at, waited(member, grace), at)
  for _, word in ipairs({member, f[3], f[4]}) do answer[#answer + 1] = word end
  if MESSAGE ~= '' then
    local list = f[3] .. '.again.' .. TAG
    redis.call('LPUSH', list, message(MESSAGE, job, step, list, at))
  end
  return f[5] == '' and 'step' or 'join'
end
