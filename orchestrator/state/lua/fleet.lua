-- fleet: which processes there are, and which steps are held. Reads only, so repeating it changes nothing.
-- ARGV most: of each at most so many, the newest
-- answers {{name, ms since it was last heard, what it does (JSON) or '' where that is no longer believed, ...},
--   {<job>.<step>, ms its lease still lasts, ...}, how many processes there are}
-- USES clock
local at, most, workers, leases = now(), ARGV[1] - 1, {}, {}
local known = redis.call('ZREVRANGE', INDEX.workers, 0, most, 'WITHSCORES')
for i = 1, #known, 2 do
  workers[#workers + 1] = known[i]
  workers[#workers + 1] = at - known[i + 1]
  workers[#workers + 1] = redis.call('GET', OF.worker .. known[i]) or ''
end
local held = redis.call('ZREVRANGE', INDEX.leases, 0, most, 'WITHSCORES')
for i = 1, #held, 2 do
  leases[#leases + 1] = held[i]
  leases[#leases + 1] = held[i + 1] - at
end
return {workers, leases, redis.call('ZCARD', INDEX.workers)}
