-- day: what the jobs of one tenant may spend together on a day (UTC). One hash a tenant that has such ceilings: `held:<kind>`
-- what is in flight, `spent:<kind>` what was spent on the day `day`. The job's record has `purse`, the tenant's name in keys,
-- and `day:<kind>`, the ceilings.
local DAILY = {tokens = true, usd = true}

local function purse(job, kind)
  local name = DAILY[kind] and redis.call('HGET', OF.job .. job, 'purse')
  if not name then return end
  local key, today = OF.tenant .. name, tostring(math.floor(redis.call('TIME')[1] / 86400))
  if redis.call('HGET', key, 'day') ~= today then
    for daily in pairs(DAILY) do redis.call('HDEL', key, 'spent:' .. daily) end
    redis.call('HSET', key, 'day', today)
  end
  redis.call('EXPIRE', key, 172800)
  return key
end

-- Answers {kind, used, ceiling} where it is too much for today.
local function over_day(job, kind, amount)
  local key = purse(job, kind)
  local top = key and redis.call('HGET', OF.job .. job, 'day:' .. kind)
  if not top then return end
  local f = redis.call('HMGET', key, 'spent:' .. kind, 'held:' .. kind)
  local used = (f[1] or 0) + (f[2] or 0)
  if used + amount > tonumber(top) then return {'day/' .. kind, string.format('%.0f', used), top} end
end

-- `what` is held or spent; `amount` a text, which may begin with a minus.
local function add_to_day(job, kind, what, amount)
  local key = purse(job, kind)
  if key then redis.call('HINCRBY', key, what .. ':' .. kind, amount) end
end
