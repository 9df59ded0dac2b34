-- clock: milliseconds since 1970 by the server's clock, the only one that counts.
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
