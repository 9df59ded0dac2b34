-- claim_undo: take the right to undo a step until the lease ends.
-- ARGV job undo~<step> lease_ms
-- answers {CLAIMED, fence, attempt, number, total, request, arguments, specialist, {dep, output, ...}, deps without output,
--   the fence of the claim before, if any, or '', how to undo it (JSON list), or '' for a step that did not succeed: its calls
--   have to be retraced, tenant}
--   | DONE state | HELD until | BLOCKED by a newer one | DEAD why | FOREIGN format (another version's: untouched)
-- A repeated claim answers HELD: its first answer is lost with the lease, as after a crash.
-- USES clock moves progress inputs lease
local job, undo, at, key, p = ARGV[1], ARGV[2], now(), OF.job .. ARGV[1], ARGV[2] .. '.'
local step = string.sub(undo, #UNDO + 1)
local f = redis.call('HMGET', key, 'format', p .. 'state', p .. 'until', p .. 'fence', p .. 'try', p .. 'no', 'total', 'request',
  step .. '.args', p .. 'spec', step .. '.deps', step .. '.state', step .. '.undo', 'tenant')
if f[1] and f[1] ~= FORMAT then return {'FOREIGN', f[1]} end
local state = f[2]
if state == 'running' and tonumber(f[3]) > at then return {'HELD', f[3]} end
if state == 'pending' then return {'BLOCKED', ''} end
taken(job, undo)
if not state then return {'DEAD', 'no such step'} end
if state == 'succeeded' then return {'DONE', state} end
local fence = take_lease(job, undo, at, ARGV[3], state, f[4], f[5])
local inputs, missing = inputs_of(job, f[11])
return {'CLAIMED', fence, f[5] + 1, f[6], f[7], f[8], f[9], f[10], inputs, missing, f[4] or '',
  f[12] == 'succeeded' and (f[13] or '[]') or '', f[14] or ''}
