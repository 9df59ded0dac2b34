-- expire: jobs past their deadline fail now, and their running steps are told to stop; questions past theirs take their default.
-- ARGV limit retention_s
-- answers {due, {jobs that failed}, {jobs to be cancelled: a question of theirs has no default}, questions that took theirs,
--   {<job>.<step>, queue, specialist, ...}: the steps that go on, enqueued by the caller where no MESSAGE is set}
-- Repeating it finds those that are left, and the jobs to be cancelled until they are; a job that waits for a person has no
-- deadline of its own.
-- USES clock moves settle offer reply
local at, failed, unanswered, defaults, steps = now(), {}, {}, 0, {}

local function take_default(job, id, question)
  local step = accept(job, id, question.otherwise, '"deadline"', at)
  defaults = defaults + 1
  if not step then return end
  redis.call('HINCRBY', OF.job .. job, 'parked', -1)
  start_clock(job, at)
  move(job, 'running', at)
  offer(job, {step}, at)
  if MESSAGE == '' then
    local f = redis.call('HMGET', OF.job .. job, step .. '.queue', step .. '.spec')
    for _, word in ipairs({job .. '.' .. step, f[1], f[2]}) do steps[#steps + 1] = word end
  end
end

-- At which step a job was stopped: one that ran, else one that was about to.
local function stopped_at(job)
  local next
  local steps, states = every(job, '.state')
  for i, step in ipairs(steps) do
    if states[i] == 'running' then return step end
    if states[i] == 'ready' or states[i] == 'retrying' then next = next or step end
  end
  return next or ''
end

local due = redis.call('ZRANGEBYSCORE', INDEX.deadlines, '-inf', at, 'LIMIT', 0, ARGV[1])
for _, member in ipairs(due) do
  local job, id = string.match(member, '^(%S+) (.*)$')
  local f = job and redis.call('HMGET', OF.job .. job, 'status', 'q:' .. id)
  if not job then
    failing(member, stopped_at(member), 'deadline', 'the deadline has passed')
    finish(member, 'failed', at, ARGV[2])
    redis.call('PUBLISH', STOPS, member)
    failed[#failed + 1] = member
  elseif f[2] and f[1] == 'failed' then -- it may be resumed, and then the question is still open
    redis.call('ZADD', INDEX.deadlines, at + 60000, member)
  elseif not f[2] or f[1] == 'cancelled' then
    redis.call('ZREM', INDEX.deadlines, member)
  else
    local question = cjson.decode(f[2])
    if question.otherwise == '' then unanswered[#unanswered + 1] = job else take_default(job, id, question) end
  end
end
return {#due, failed, unanswered, defaults, steps}
