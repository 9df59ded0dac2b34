-- ledger: reserve before, settle after; spent + held never exceeds a ceiling. Money is in micro-USD.
-- Amounts are written as kind=amount,kind=amount. What a glob of tools may be called is the kind tools/<glob>.
-- USES day moves
local function each(text) return string.gmatch(text, '([^,=]+)=(%d+)') end

local function set_ceiling(job, kind, top)
  local key = OF.job .. job
  redis.call('HSET', key, 'max:' .. kind, string.format('%.0f', top))
  redis.call('HDEL', key, 'warned:' .. kind)
  redis.call('HSETNX', key, 'spent:' .. kind, 0)
  if redis.call('HSETNX', key, 'held:' .. kind, 0) == 1 and string.sub(kind, 1, 6) == 'tools/' then
    redis.call('HSET', key, 'tools', (redis.call('HGET', key, 'tools') or '') .. kind .. ',')
  end
end

-- Once a kind: 80 % of its ceiling is spent or held. Answers whether it was now.
local function warn(job, step, kind, used, top)
  if top <= 0 or 5 * used < 4 * top or redis.call('HSETNX', OF.job .. job, 'warned:' .. kind, 1) == 0 then return end
  event(job, 'budget', step, cjson.encode({kind = kind, used = used, ceiling = top}))
  return true
end

-- A step that starts first counts as one; so many are kept for others. Answers {used, ceiling} of one too many, or nil and warn's.
local function count_step(job, step, used, top, kept)
  if tonumber(top) >= 0 and used + 1 + kept > tonumber(top) then return {used, top} end
  redis.call('HINCRBY', OF.job .. job, 'spent:steps', 1)
  redis.call('HSET', OF.job .. job, step .. '.paid', 1)
  return nil, warn(job, step, 'steps', used + 1, tonumber(top))
end

-- Answers {the ceiling it would exceed, how much of it is used, how high it is}; or nil and the kinds that run low.
local function reserve(job, step, amounts)
  local key, all, low = OF.job .. job, {}, {}
  for kind, amount in each(amounts) do
    local f = redis.call('HMGET', key, 'max:' .. kind, 'spent:' .. kind, 'held:' .. kind)
    local used, top = (f[2] or 0) + (f[3] or 0), tonumber(f[1] or -1)
    if top >= 0 and used + amount > top then return {kind, string.format('%.0f', used), f[1]} end
    local over = over_day(job, kind, amount)
    if over then return over end
    all[kind] = {kind == 'answer_bytes' and tonumber(f[2] or 0) or used + amount, top} -- most answers are far smaller
  end
  for kind, amount in each(amounts) do
    redis.call('HINCRBY', key, 'held:' .. kind, amount)
    add_to_day(job, kind, 'held', amount)
    if warn(job, step, kind, all[kind][1], all[kind][2]) then low[#low + 1] = kind end
  end
  return nil, low
end

-- What was reserved becomes free, what it really cost is spent.
local function charge(job, reserved, actual)
  for kind, amount in each(reserved) do
    redis.call('HINCRBY', OF.job .. job, 'held:' .. kind, '-' .. amount)
    add_to_day(job, kind, 'held', '-' .. amount)
  end
  for kind, amount in each(actual) do
    redis.call('HINCRBY', OF.job .. job, 'spent:' .. kind, amount)
    add_to_day(job, kind, 'spent', amount)
  end
end
