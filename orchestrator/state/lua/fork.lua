-- fork: open a job in which some steps of another one are finished, with their checkpoints; what undoes them stays with that one.
-- ARGV source job fields (JSON) ledger (JSON object kind -> ceiling) seconds (ms, -1: none)
--   rows of the finished steps and of the others (JSON) templates (JSON object step -> the canvas's first message)
--   submission key or ''
-- answers {OPENED, steps offered...} | {EXISTS, this job, or that of this submission key} | {UNFINISHED, step, state}
--   | {UNDONE, step} | {DEAD why}
-- Repeating it answers EXISTS and changes nothing.
-- USES clock moves offer plant begin
local source, job, at = ARGV[1], ARGV[2], now()
local from, key, kept = OF.job .. source, OF.job .. job, cjson.decode(ARGV[6])
local skey = ARGV[9]
local other = skey ~= '' and redis.call('GET', skey)
if other and redis.call('EXISTS', OF.job .. other) == 1 then return {'EXISTS', other} end
if redis.call('EXISTS', key) == 1 then return {'EXISTS', job} end
if redis.call('EXISTS', from) == 0 then return {'DEAD', 'no such job'} end
local undone = ',' .. (redis.call('HGET', from, 'undo') or '') .. ','
for _, row in ipairs(kept) do
  local state = redis.call('HGET', from, row.n .. '.state')
  if state ~= 'succeeded' then return {'UNFINISHED', row.n, state or 'not in its plan'} end
  local undoes = redis.call('HEXISTS', from, row.n .. '.undo') == 1 -- else it was only listed as not undone
  if undoes and string.find(undone, ',' .. row.n .. ',', 1, true) then return {'UNDONE', row.n} end
end
if skey ~= '' then
  redis.call('SET', skey, job)
  redis.call('HSET', key, 'skey', skey)
end
begin(job, at, ARGV[3], ARGV[4], ARGV[5])
plant(job, ARGV[6])
for _, row in ipairs(kept) do
  local out = redis.call('HGET', from, row.n .. '.out')
  redis.call('HSET', key, row.n .. '.state', 'succeeded', row.n .. '.out', out, row.n .. '.need', 0)
  if #row.x == 0 then redis.call('HINCRBY', key, 'lasts', -1) end
end
redis.call('HINCRBY', key, 'left', -#kept)
local first, forks = plant(job, ARGV[7]), redis.call('HGET', from, 'forks')
redis.call('HSET', from, 'forks', (forks and forks .. ',' or '') .. job)
start_clock(job, at)
move(job, 'queued', at)
offer(job, first, at, cjson.decode(ARGV[8]))
return {'OPENED', unpack(first)}
