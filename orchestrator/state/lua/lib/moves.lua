-- moves: a job's status and its events.
-- USES day undo
-- A job is one hash. Its fields: status since workflow tenant request created trace total left live active parked failing ...
--   left: steps not finished   live: offered, running or retrying   active: running   parked: waiting for an answer
--   lasts: steps that nothing comes after, not begun yet
-- Fields of a step: <step>.state .spec .queue .deps .next .need .opt .no .args .fence .until .try .out .err .asks .paid

local function event(job, kind, step, data)
  redis.call('XADD', OF.events .. job, 'MAXLEN', '~', 10000, '*', 'type', kind, 'step', step or '', 'data', data or '')
end

-- Wakes those who wait for the job's result, and nobody else: it waits for people, has ended, or is undone.
local function wake(job)
  local times = redis.call('HINCRBY', OF.job .. job, 'ends', 1)
  redis.call('XADD', OF.ends .. job, 'MAXLEN', 1, times .. '-0', '', '')
end

local function move(job, status, at)
  local key = OF.job .. job
  local f = redis.call('HMGET', key, 'status', 'workflow')
  local was = f[1]
  if was == status then return end
  if was then redis.call('ZREM', OF.jobs .. was, job) end
  redis.call('HSET', key, 'status', status, 'since', at)
  redis.call('ZADD', OF.jobs .. status, at, job)
  redis.call('HINCRBY', INDEX.reached, status .. ' ' .. (f[2] or ''), 1)
  event(job, status)
  if status ~= 'queued' and status ~= 'running' then wake(job) end
end

local function each_key(job, command, ...) -- of a job, but its spans, which are kept for a time of their own
  local key = redis.call('HGET', OF.job .. job, 'skey')
  for _, name in ipairs({OF.job .. job, OF.calls .. job, OF.events .. job, OF.ends .. job, key or ''}) do
    if name ~= '' then redis.call(command, name, ...) end
  end
end

-- A final status: what was reserved counts as spent, since it may have been sent; nobody holds a step or waits for one. Keys
-- expire from now on, or from when everything is undone: after a cancellation, and after a failure if the job's `on_failure`
-- says so.
local function finish(job, status, at, ttl)
  local key = OF.job .. job
  if status ~= 'succeeded' then withdraw(job) end
  local kinds = (redis.call('HGET', key, 'tools') or '') .. 'steps,tool_calls,tokens,input_tokens,output_tokens,usd'
  for kind in string.gmatch(kinds, '[^,]+') do
    local held = redis.call('HGET', key, 'held:' .. kind)
    if held and held ~= '0' then
      redis.call('HINCRBY', key, 'spent:' .. kind, held)
      redis.call('HSET', key, 'held:' .. kind, 0)
      add_to_day(job, kind, 'held', '-' .. held)
      add_to_day(job, kind, 'spent', held)
    end
  end
  redis.call('HSET', key, 'held:answer_bytes', 0) -- an answer that never came is free
  redis.call('ZREM', INDEX.deadlines, job)
  move(job, status, at)
  local undoes = status == 'cancelled' or status == 'failed' and redis.call('HGET', key, 'on_failure') == 'undo'
  local undone = undoes and undo(job, at)
  if undone then event(job, 'undoing', '', cjson.encode(undone)) else each_key(job, 'EXPIRE', ttl) end
end
