-- answer: a person's answers; steps that waited only for them are offered again.
-- ARGV job answers (JSON object question id -> answer as JSON text) questions (JSON object: further questions of the request)
--   request (JSON, '' while it is incomplete) rows (JSON) templates (JSON) retention_s
--   ceilings (JSON object question id -> {kind -> new ceiling}: what an answer to a question about the budget raises)
-- answers {OK, {steps offered}} | DEAD status | UNKNOWN id | CONFLICT id
-- The same answer again is the same answer; another one is refused as CONFLICT, and nothing is changed.
-- USES clock moves settle offer plant ledger
local job, at = ARGV[1], now()
local key, answers = OF.job .. job, cjson.decode(ARGV[2])
local status = redis.call('HGET', key, 'status')
if not status then return {'DEAD', 'no such job'} end
for id, answer in pairs(answers) do
  local known = redis.call('HGET', key, 'a:' .. id)
  if known and known ~= answer then return {'CONFLICT', id} end
  if not known and redis.call('HEXISTS', key, 'q:' .. id) == 0 then return {'UNKNOWN', id} end
end
if status ~= 'running' and status ~= 'waiting' then
  for id in pairs(answers) do
    if redis.call('HEXISTS', key, 'a:' .. id) == 0 then return {'DEAD', status} end
  end
  return {'OK', {}}
end
local freed, ceilings = {}, cjson.decode(ARGV[8])
for id, answer in pairs(answers) do
  if redis.call('HSETNX', key, 'a:' .. id, answer) == 1 then
    local step = string.match(redis.call('HGET', key, 'q:' .. id), '"step":"([^"]*)"')
    redis.call('HDEL', key, 'q:' .. id)
    event(job, 'answered', step, id)
    for kind, top in pairs(ceilings[id] or {}) do set_ceiling(job, kind, top) end
    if step and step ~= '' and redis.call('HINCRBY', key, step .. '.asks', -1) == 0 then freed[#freed + 1] = step end
  end
end
for id, question in pairs(cjson.decode(ARGV[3])) do redis.call('HSET', key, 'q:' .. id, question) end
local templates = cjson.decode(ARGV[6])
if ARGV[4] ~= '' and redis.call('HGET', key, 'total') == '0' then
  redis.call('HSET', key, 'request', ARGV[4])
  for _, step in ipairs(plant(job, ARGV[5])) do freed[#freed + 1] = step end
else
  redis.call('HINCRBY', key, 'parked', -#freed)
end
if #freed > 0 then
  start_clock(job, at)
  move(job, 'running', at)
end
offer(job, freed, at, templates)
return {'OK', freed}
