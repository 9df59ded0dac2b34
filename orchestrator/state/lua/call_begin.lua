-- call_begin: before a call of a step is sent: replay it, refuse it, or reserve its cost and record the intent.
-- ARGV job step fence number fingerprint tool amounts (kind=amount,...) effect digest of the tool or '' refuse (1: a changed tool)
--   unpriced (1: nobody said what the tool costs)
-- answers {GO, '', low, sends, ms, bytes, first, free} first time | {AGAIN, state, ... and the same} begun before, outcome
--   unknown or certainly not executed; low: the kinds of which 80 % are used now for the first time; sends: how often it was
--   begun, ms: since 1970, now; bytes: how large its answer may be, as it was asked or what is left; first: the tool's digest
--   when the job first saw it, if it is another one now, else ''; free: 1 if the job is told now that it counts as nothing
--   | {REPLAY, state, answer} | {DIVERGED, tool} another call has this number | {CHANGED, first} refused, since it never was sent
--   | {OVER, kind, spent, ceiling} | STALE state | DEAD why | BUSY: calls under way hold the bytes that are left: ask again
--   when one of them is settled
-- Repeating it answers AGAIN: what the first had reserved counts as spent, as if that attempt had been sent.
-- USES clock held moves ledger bytes pin

-- Once a job and tool, where money has a ceiling, the job's or its day's: the tool counts as nothing, since nobody said what
-- it costs. `known`: of which it was said before. Answers 1 if it was now, else 0.
local function unpriced(job, step, tool, known, top, daily)
  if tonumber(top or -1) < 0 and not daily or string.find(',' .. known, ',' .. tool .. ',', 1, true) then return 0 end
  redis.call('HSET', OF.job .. job, 'unpriced', known .. tool .. ',')
  event(job, 'unpriced', step, tool)
  return 1
end

local job, step, n = ARGV[1], ARGV[2], ARGV[2] .. ':' .. ARGV[4] .. ':'
local no = not_ours(job, step, ARGV[3])
if no then return no end
local key, at = OF.calls .. job, now()
local f = redis.call('HMGET', key, n .. 'state', n .. 'print', n .. 'held', n .. 'out', n .. 'tool', '@' .. ARGV[6])
if f[1] and f[2] ~= ARGV[5] then return {'DIVERGED', f[5]} end
if f[1] == 'done' or f[1] == 'rejected' or f[1] == 'asked' then return {'REPLAY', f[1], f[4]} end
local first = pin(job, step, ARGV[6], ARGV[9], f[6])
if first and ARGV[10] == '1' and (not f[1] or f[1] == 'unsent') then return {'CHANGED', first} end
if f[1] == 'begun' then -- its holder died: it may have been sent
  charge(job, f[3], unanswered(f[3]))
  redis.call('HSET', key, n .. 'state', 'unknown', n .. 'held', '')
end
local amounts = allot(job, ARGV[7])
if not amounts then return {'BUSY', ''} end
local over, low = reserve(job, step, amounts)
if over then return {'OVER', unpack(over)} end
if f[1] == 'begun' or f[1] == 'unknown' then redis.call('HSET', key, n .. 'maybe', 1) end
redis.call('HSET', key, n .. 'state', 'begun', n .. 'print', ARGV[5], n .. 'tool', ARGV[6], n .. 'held', amounts,
  n .. 'fence', ARGV[3], n .. 'effect', ARGV[8], n .. 'at', at)
local sends = redis.call('HINCRBY', key, n .. 'sends', 1)
local s = redis.call('HMGET', OF.job .. job, step .. '.until', step .. '.calls', 'max:usd', 'day:usd', 'unpriced')
if tonumber(s[2] or 0) < tonumber(ARGV[4]) then redis.call('HSET', OF.job .. job, step .. '.calls', ARGV[4]) end
redis.call('ZADD', INDEX.begun, s[1], job .. '.' .. step .. ':' .. ARGV[4])
local bytes = tonumber(string.match(amounts, 'answer_bytes=(%d+)') or 0)
local free = ARGV[11] == '1' and unpriced(job, step, ARGV[6], s[5] or '', s[3], s[4]) or 0
return {f[1] and 'AGAIN' or 'GO', f[1] or '', low, sends, at, bytes, first or '', free}
