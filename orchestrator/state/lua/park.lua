-- park: a step cannot go on without an answer; it gives its lease back and waits.
-- ARGV job step fence questions (JSON object id -> question as JSON text) retention_s
-- answers {OK, job status} | ANSWERED (they have been answered meanwhile: run on) | STALE state | DEAD why
-- Repeating it answers STALE, or DEAD waiting where nothing else moves, and asks nothing twice.
-- USES clock moves settle held reply
local job, step, at = ARGV[1], ARGV[2], now()
local key = OF.job .. job
local no = not_ours(job, step, ARGV[3])
if no then return no end
local open = 0
for id, question in pairs(cjson.decode(ARGV[4])) do
  local about = cjson.decode(question)
  local raised = about.kind == 'budget' and redis.call('HGET', key, 'max:' .. about.details.kind) ~= about.details.ceiling
  if redis.call('HEXISTS', key, 'a:' .. id) == 0 and not raised then
    ask(job, id, question, at, about.deadline_s)
    if about.kind == 'in_doubt' then redis.call('ZADD', INDEX.doubts, at, job .. ' ' .. id) end
    event(job, 'question', step, question)
    open = open + 1
  end
end
if open == 0 then return {'ANSWERED'} end
let_go(job, step, 'waiting')
redis.call('HSET', key, step .. '.asks', open, step .. '.try', 0)
redis.call('HINCRBY', key, 'live', -1)
redis.call('HINCRBY', key, 'parked', 1)
settle(job, at, ARGV[5])
return {'OK', redis.call('HGET', key, 'status')}
