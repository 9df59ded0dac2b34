-- beat: a process is alive, and this is what it does. What has been silent for a day is forgotten.
-- ARGV name, what it does (JSON), ttl_ms: how long that is believed
-- answers OK. Repeating it tells the same a little later.
-- USES clock
local at = now()
redis.call('ZREMRANGEBYSCORE', INDEX.workers, 0, at - 86400000)
redis.call('ZADD', INDEX.workers, at, ARGV[1])
redis.call('SET', OF.worker .. ARGV[1], ARGV[2], 'PX', ARGV[3])
return {'OK'}
