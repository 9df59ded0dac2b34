-- claim: take the right to run a step until the lease ends; the first attempt is charged one step. What happens where the
-- ceiling of steps is reached is the job's `at_ceiling`: it fails, or the step is given to ask a person (ask), or to be left
-- out (finish); then a step is kept for each of the plan's last ones, which are not left out.
-- ARGV job step lease_ms retention_s
-- answers {CLAIMED, fence, attempt, number, total, ms left or -1, request, arguments, specialist, {dep, output, ...},
--   the fence of the claim before, if any, or '', ms since it was offered or -1, kinds of tools with a ceiling of their own,
--   at_ceiling, {used, ceiling} of steps if that is reached, 1 if nothing comes after it, why the job is finishing or '',
--   deps without output,
--   1 if 80 % of the steps are used now for the first time, tenant, 1 if an earlier attempt was counted}
--   | DONE | HELD until | BLOCKED n | FOREIGN format (another version's: untouched) | DEAD no such step or job
--   | {OVER or DEAD, why, number, total, tenant}: the step was still to be done, and is not
-- A repeated claim answers HELD: its first answer is lost with the lease, as after a crash.
-- USES clock moves settle progress ledger inputs lease
local job, step, at, key, p = ARGV[1], ARGV[2], now(), OF.job .. ARGV[1], ARGV[2] .. '.'
local f = redis.call('HMGET', key, 'status', 'failing', p .. 'state', p .. 'need', p .. 'until', p .. 'deps', p .. 'fence',
  'max:steps', 'spent:steps', 'deadline', p .. 'try', p .. 'no', 'total', 'request', p .. 'args', p .. 'spec',
  'tools', 'at_ceiling', p .. 'paid', p .. 'next', 'finishing', 'lasts', 'format', 'tenant')
if f[23] and f[23] ~= FORMAT then return {'FOREIGN', f[23]} end
local status, state = f[1], f[3]
if state == 'running' and tonumber(f[5]) > at then return {'HELD', f[5]} end
if state == 'pending' and status == 'running' then return {'BLOCKED', f[4]} end
local offered = taken(job, step)
if not state then return {'DEAD', status and 'no such step' or 'no such job'} end
if state ~= 'ready' and state ~= 'running' and state ~= 'retrying' then return {'DONE', state} end
local function not_done(kind, why) return {kind, why, f[12], f[13], f[24] or ''} end
local function because(failing) return failing .. ' failed: ' .. (redis.call('HGET', key, 'error') or '') end
if status ~= 'running' and status ~= 'queued' then
  return not_done('DEAD', (f[2] or '') ~= '' and because(f[2]) or 'the job is ' .. status)
end
local function leave(kind, why)
  redis.call('HSET', key, p .. 'state', 'skipped')
  redis.call('HINCRBY', key, 'live', -1)
  if state == 'running' then redis.call('HINCRBY', key, 'active', -1) end
  redis.call('ZREM', INDEX.leases, job .. '.' .. step)
  settle(job, at, ARGV[4])
  return not_done(kind, why)
end
if f[2] then return leave('DEAD', because(f[2])) end
if f[10] and redis.call('ZSCORE', INDEX.deadlines, job) and tonumber(f[10]) <= at then
  failing(job, step, 'deadline', 'the deadline has passed')
  return leave('DEAD', 'the deadline has passed')
end
local policy, last, finishing, over, low = f[18] or 'fail', f[20] == '', f[21] or '', nil, nil
if not f[19] and (last or finishing == '') then -- a retry or a resumed step is the same step
  over, low = count_step(job, step, f[9], f[8], policy == 'finish' and not last and f[22] or 0)
  if over and (policy == 'fail' or policy == 'finish' and last) then
    local message = 'steps ' .. f[9] .. ' of ' .. f[8]
    failing(job, step, 'budget', message)
    return leave('OVER', message)
  end
  if last and not over then redis.call('HINCRBY', key, 'lasts', -1) end
end
if status == 'queued' then move(job, 'running', at) end
local fence = take_lease(job, step, at, ARGV[3], state, f[7], f[11])
local inputs, missing = inputs_of(job, f[6])
local left = f[10] and f[10] - at or -1
return {'CLAIMED', fence, f[11] + 1, f[12], f[13], left, f[14], f[15], f[16], inputs, f[7] or '',
  offered and at - offered or -1, f[17] or '', policy, over or {}, last and 1 or 0, finishing, missing,
  low and 1 or 0, f[24] or '', f[19] and 1 or 0}
