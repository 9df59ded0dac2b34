-- undo: what a job has done is taken back, newest first, or listed where its step did not say how. To undo a step is a piece of
-- work of its own, kept and found like a step: undo~<step> has a step's fields, stands in the same indexes, and travels in the
-- queue of the step's specialist.
-- Fields of the job: undo: the steps, newest first   undo_left: how many of them are not undone yet
-- USES offer
local function is_undo(step) return string.sub(step, 1, #UNDO) == UNDO end

-- Has a step changed the world, or may it have?
local function has_effects(job, step)
  for number = 1, tonumber(redis.call('HGET', OF.job .. job, step .. '.calls') or 0) do
    local n = step .. ':' .. number .. ':'
    local c = redis.call('HMGET', OF.calls .. job, n .. 'effect', n .. 'state')
    local reads = c[1] == 'read' or c[1] == 'look-up'
    if not reads and (c[2] == 'begun' or c[2] == 'unknown' or c[2] == 'done') then return true end
  end
end

-- Offers the newest of them; answers their names, or nil where there is nothing to undo. What came after a step was claimed
-- after it, so the fence, a time, says what is newer.
local function undo(job, at)
  local key, list, names = OF.job .. job, {}, {}
  local steps, fences = every(job, '.fence')
  for i, step in ipairs(steps) do
    local p, fence = step .. '.', fences[i]
    local f = fence and redis.call('HMGET', key, p .. 'state', p .. 'undo', p .. 'no', p .. 'spec', p .. 'queue')
    if fence and (f[1] == 'succeeded' and f[2] or has_effects(job, step)) then
      list[#list + 1] = {name = step, at = tonumber(fence), no = tonumber(f[3]), spec = f[4], queue = f[5]}
    end
  end
  if #list == 0 then return end
  table.sort(list, function(a, b) return a.at > b.at or a.at == b.at and a.no > b.no end)
  for i, step in ipairs(list) do
    local p, next = UNDO .. step.name .. '.', list[i + 1] and UNDO .. list[i + 1].name or ''
    redis.call('HSET', key, p .. 'state', 'pending', p .. 'spec', step.spec, p .. 'queue', step.queue, p .. 'no', step.no,
      p .. 'deps', '', p .. 'next', next, p .. 'try', 0)
    names[i] = step.name
  end
  redis.call('HSET', key, 'undo', table.concat(names, ','), 'undo_left', #names)
  offer(job, {UNDO .. names[1]}, at)
  return names
end
