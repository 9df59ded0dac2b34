-- open: store a job with its plan, budget and submission key, and offer its first steps.
-- ARGV[2..] job, fields (JSON object of the record), ledger (JSON object kind -> ceiling), seconds (ms, -1: none),
--   rows (JSON, [] while the request is incomplete), questions (JSON object id -> question), submission key or '',
--   templates (JSON object step -> the canvas's first message)
-- answers {OPENED, steps offered...} or {EXISTS, job of this submission key}.
-- Repeating it answers EXISTS with the same job and changes nothing.
-- USES clock moves offer plant begin reply
local job, at = ARGV[1], now()
local key, skey = OF.job .. job, ARGV[7]
if skey ~= '' then
  local other = redis.call('GET', skey)
  if other and redis.call('EXISTS', OF.job .. other) == 1 then return {'EXISTS', other} end
  redis.call('SET', skey, job)
  redis.call('HSET', key, 'skey', skey)
elseif redis.call('EXISTS', key) == 1 then
  return {'EXISTS', job}
end
begin(job, at, ARGV[2], ARGV[3], ARGV[4])
if ARGV[5] == '[]' then
  for id, question in pairs(cjson.decode(ARGV[6])) do ask(job, id, question, at) end
  move(job, 'waiting', at)
  return {'OPENED'}
end
local first = plant(job, ARGV[5])
start_clock(job, at)
move(job, 'queued', at)
offer(job, first, at, cjson.decode(ARGV[8]))
return {'OPENED', unpack(first)}
