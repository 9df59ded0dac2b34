-- answer: a person's answers; steps that waited only for them are offered again.
-- ARGV job answers (JSON object question id -> answer as JSON text) questions (JSON object: further questions of the request)
--   request (JSON, '' while it is incomplete) rows (JSON) templates (JSON) retention_s
--   ceilings (JSON object question id -> {kind -> new ceiling}: what an answer to a question about the budget raises)
--   by (JSON text: who answers) told (how many answers about the request the caller knew, '' where these are not about it)
--   more (JSON object kind -> new ceiling: raised in any case, also where others gave these answers before)
-- answers {OK, {steps offered}} | DEAD status | UNKNOWN id | CONFLICT id | MOVED (others told more of the request: look again)
-- The same answer again is the same answer; another one is refused as CONFLICT, and nothing is changed.
-- USES clock moves settle offer plant ledger reply
local job, at = ARGV[1], now()
local key, answers, new = OF.job .. job, cjson.decode(ARGV[2]), false
local status = redis.call('HGET', key, 'status')
if not status then return {'DEAD', 'no such job'} end
for id, answer in pairs(answers) do
  local known = redis.call('HGET', key, 'a:' .. id)
  if known and known ~= answer then return {'CONFLICT', id} end
  if not known and redis.call('HEXISTS', key, 'q:' .. id) == 0 then return {'UNKNOWN', id} end
  new = new or not known
end
if new and status ~= 'running' and status ~= 'waiting' then return {'DEAD', status} end
if new and ARGV[10] ~= '' and (redis.call('HGET', key, 'told') or '0') ~= ARGV[10] then return {'MOVED', ''} end
local function raise(tops) -- only upwards: another answer may have raised it further, and that may be spent
  for kind, top in pairs(tops) do
    local was = tonumber(redis.call('HGET', key, 'max:' .. kind) or -1)
    if was >= 0 and top > was then set_ceiling(job, kind, top) end
  end
end
raise(cjson.decode(ARGV[11]))
if not new then return {'OK', {}} end
local freed, ceilings = {}, cjson.decode(ARGV[8])
for id, answer in pairs(answers) do
  if redis.call('HEXISTS', key, 'q:' .. id) == 1 then
    raise(ceilings[id] or {})
    freed[#freed + 1] = accept(job, id, answer, ARGV[9], at)
  end
end
for id, question in pairs(cjson.decode(ARGV[3])) do
  if redis.call('HEXISTS', key, 'q:' .. id) == 0 then ask(job, id, question, at) end
end
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
