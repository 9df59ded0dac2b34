-- resume: go on with a failed job: everything that has not succeeded is planned again, with the ledger's ceilings raised.
-- ARGV job ledger (JSON object kind -> new ceiling) seconds (ms of new time, -1: what was left)
-- answers {OK, {steps offered}} | REFUSED status, or undone: what it had done is undone, or is being undone
-- Repeating it answers REFUSED running.
-- USES clock moves settle offer ledger
local job, at = ARGV[1], now()
local key = OF.job .. job
local status = redis.call('HGET', key, 'status')
if status ~= 'failed' then return {'REFUSED', status or 'no such job'} end
if redis.call('HEXISTS', key, 'undo') == 1 then return {'REFUSED', 'undone'} end
for kind, ceiling in pairs(cjson.decode(ARGV[2])) do
  set_ceiling(job, kind, ceiling)
end
each_key(job, 'PERSIST')
for _, name in ipairs(redis.call('HKEYS', OF.calls .. job)) do -- what was begun the job's end has charged: not once more
  local n = string.match(name, '^(.*:)state$')
  if n and redis.call('HGET', OF.calls .. job, name) == 'begun' then
    redis.call('HSET', OF.calls .. job, name, 'unknown', n .. 'held', '')
  end
end
local deadline = redis.call('HGET', key, 'deadline')
redis.call('HDEL', key, 'failing', 'finishing', 'reason', 'error', 'clock_left', 'deadline')
local left = tonumber(ARGV[3]) >= 0 and ARGV[3] or (deadline and math.max(0, deadline - redis.call('HGET', key, 'since')))
if left then redis.call('HSET', key, 'clock_left', left) end
redis.call('HSET', key, 'live', 0, 'active', 0, 'parked', 0)
local unfinished, ready, parked = 0, {}, 0
for step in string.gmatch(redis.call('HGET', key, 'order') or '', '[^,]+') do
  local p = step .. '.'
  local f = redis.call('HMGET', key, p .. 'state', p .. 'fatal', p .. 'deps', p .. 'asks')
  if f[1] ~= 'succeeded' and (f[1] ~= 'failed' or f[2]) then
    unfinished = unfinished + 1
    local need = 0
    for dep in string.gmatch(f[3], '[^,]+') do
      local d = redis.call('HMGET', key, dep .. '.state', dep .. '.fatal')
      if d[1] ~= 'succeeded' and (d[1] ~= 'failed' or d[2]) then need = need + 1 end
    end
    redis.call('ZREM', INDEX.leases, job .. '.' .. step)
    redis.call('HDEL', key, p .. 'refused') -- its attempts are counted anew, and so is the time nobody knew it
    local waits = f[1] == 'waiting' and tonumber(f[4] or 0) > 0
    redis.call('HSET', key, p .. 'state', waits and 'waiting' or 'pending', p .. 'need', need, p .. 'try', 0)
    if waits then parked = parked + 1 elseif need == 0 then ready[#ready + 1] = step end
  end
end
for step in string.gmatch(redis.call('HGET', key, 'order') or '', '[^,]+') do redis.call('HDEL', key, step .. '.fatal') end
redis.call('HSET', key, 'left', unfinished, 'parked', parked)
start_clock(job, at)
event(job, 'resumed')
move(job, 'running', at)
offer(job, ready, at)
settle(job, at, 0)
return {'OK', ready}
