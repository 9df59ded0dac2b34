-- ledger: reserve before, settle after; spent + held never exceeds the ceiling. Money is in micro-USD.
-- A reservation is written as calls:tokens:usd.
local function read(text)
  local c, t, u = string.match(text, '^(%d+):(%d+):(%d+)$')
  return {tool_calls = tonumber(c), tokens = tonumber(t), usd = tonumber(u)}
end

-- Answers nil, or which ceiling it would exceed, spent and ceiling.
local function reserve(job, amounts)
  local key = OF.job .. job
  for kind, amount in pairs(amounts) do
    local f = redis.call('HMGET', key, 'max:' .. kind, 'spent:' .. kind, 'held:' .. kind)
    local top = tonumber(f[1] or -1)
    if amount > 0 and top >= 0 and f[2] + f[3] + amount > top then return kind, f[2] + f[3], f[1] end
  end
  for kind, amount in pairs(amounts) do
    if amount > 0 then redis.call('HINCRBY', key, 'held:' .. kind, amount) end
  end
end

-- What was reserved becomes free, what it really cost is spent.
local function charge(job, reserved, actual)
  for kind, amount in pairs(reserved) do
    if amount > 0 then redis.call('HINCRBY', OF.job .. job, 'held:' .. kind, -amount) end
    if actual[kind] > 0 then redis.call('HINCRBY', OF.job .. job, 'spent:' .. kind, actual[kind]) end
  end
end
