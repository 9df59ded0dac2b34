-- commit: a step has ended: store its checkpoint, free what waited for it, perhaps grow the plan or end the job.
-- ARGV job step fence outcome (succeeded | failed) output or error (JSON) retention_s reason (of a failure that no optional
--   step excuses; finish: left out at a ceiling, as the job's policy is, and the rest but the last is left out too) message
--   growth (JSON or '') rollback (JSON list or '')
-- answers {OK, status, {ready steps}, {their specialists}} | STALE state | DEAD why | REFUSED why (the growth is not possible)
-- Repeating it answers STALE, or DEAD where it ended the job; what it made ready is in the index `ready`, where the sweeper
-- finds it.
-- USES clock moves settle offer plant held grow
local job, step, outcome, at = ARGV[1], ARGV[2], ARGV[4], now()
local key, p = OF.job .. job, ARGV[2] .. '.'
local no = not_ours(job, step, ARGV[3])
if no then return no end
if ARGV[9] ~= '' then
  local why = grow(job, cjson.decode(ARGV[9]), step)
  if why then return {'REFUSED', why} end
end
let_go(job, step, outcome)
redis.call('HINCRBY', key, 'live', -1)
redis.call('HINCRBY', key, 'left', -1)
redis.call('HSET', key, p .. (outcome == 'succeeded' and 'out' or 'err'), ARGV[5])
if ARGV[10] ~= '' then redis.call('HSET', key, p .. 'undo', ARGV[10]) end
event(job, outcome, step, ARGV[8])
local optional = redis.call('HGET', key, p .. 'opt') == '1'
if ARGV[7] == 'finish' then
  redis.call('HSETNX', key, 'finishing', ARGV[8])
elseif outcome == 'failed' and (ARGV[7] ~= '' or not optional) then
  redis.call('HSET', key, p .. 'fatal', 1) -- resume runs it again, optional or not
  failing(job, step, ARGV[7] ~= '' and ARGV[7] or 'step', ARGV[8])
end
local ready = {}
for name in string.gmatch(redis.call('HGET', key, p .. 'next'), '[^,]+') do
  if redis.call('HINCRBY', key, name .. '.need', -1) == 0 then ready[#ready + 1] = name end
end
if redis.call('HEXISTS', key, 'failing') == 1 then ready = {} end
offer(job, ready, at)
settle(job, at, ARGV[6])
local whose = {}
for _, name in ipairs(ready) do whose[#whose + 1] = redis.call('HGET', key, name .. '.spec') end
return {'OK', redis.call('HGET', key, 'status'), ready, whose}
