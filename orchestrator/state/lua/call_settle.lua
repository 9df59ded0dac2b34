-- call_settle: after a call: keep its answer, and turn its reservation into what it cost.
-- ARGV job step fence number state (done | rejected | asked | unknown | unsent) answer (JSON) actual (kind=amount,...)
-- answers {OK} | {OVERRUN, kind, actual, reserved} kept and charged, more than was reserved | STALE state | DEAD why;
-- repeating it answers OK and charges nothing.
-- asked: its tool asks people first; it was sent and costs what it costs, and a call with a number of its own goes on with it.
-- unsent: certainly not executed, so it costs nothing; it stays unknown where an earlier sending may have been (an UNSAFE one
-- is sent again only when it is known that it was not). Where nothing is held any more, the job's end has settled it.
-- What an earlier attempt began may have been sent: it is charged first, and then its outcome is unknown. What became of a
-- call whose outcome is unknown can be learned later, and costs nothing more.
-- USES held moves ledger bytes
local job, step, n = ARGV[1], ARGV[2], ARGV[2] .. ':' .. ARGV[4] .. ':'
local no = not_ours(job, step, ARGV[3])
if no then return no end
local key = OF.calls .. job
local f = redis.call('HMGET', key, n .. 'state', n .. 'held', n .. 'tool', n .. 'fence', n .. 'maybe', n .. 'effect')
if f[1] == 'begun' and f[4] ~= ARGV[3] then
  charge(job, f[2], unanswered(f[2]))
  redis.call('HSET', key, n .. 'state', 'unknown', n .. 'held', '')
  redis.call('ZREM', INDEX.begun, job .. '.' .. step .. ':' .. ARGV[4])
  f[1], f[2] = 'unknown', ''
end
local late = f[1] == 'unknown' and (ARGV[5] == 'done' or ARGV[5] == 'rejected' or ARGV[5] == 'asked')
if f[1] ~= 'begun' and not late then return {'OK'} end
local actual, reserved, over = (late or ARGV[5] == 'unsent') and '' or ARGV[7], {}, nil
charge(job, f[2], actual)
redis.call('ZREM', INDEX.begun, job .. '.' .. step .. ':' .. ARGV[4])
local state = ARGV[5] == 'unsent' and f[5] and f[6] ~= 'unsafe' and 'unknown' or ARGV[5]
redis.call('HSET', key, n .. 'state', state, n .. 'held', '', n .. 'out', ARGV[6])
event(job, 'call', step, cjson.encode({tool = f[3], number = tonumber(ARGV[4]), outcome = ARGV[5]})) -- of this sending
for kind, amount in each(f[2]) do reserved[kind] = amount end
for kind, amount in each(actual) do
  if f[2] ~= '' and tonumber(amount) > tonumber(reserved[kind] or 0) then
    over = over or {'OVERRUN', kind, amount, reserved[kind] or '0'}
    event(job, 'overrun', step, cjson.encode({kind = kind, number = tonumber(ARGV[4]), used = tonumber(amount)}))
  end
end
return over or {'OK'}
