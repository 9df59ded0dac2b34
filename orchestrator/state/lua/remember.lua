-- remember: keep what a model answered, so that the very same request of its tenant is not asked again for a while.
-- ARGV name: digest of tenant and request, ttl_s, answer (JSON)
-- answers {OK}. Repeating it keeps the same answer for as long from now.
redis.call('SET', OF.cache .. ARGV[1], ARGV[3], 'EX', ARGV[2])
return {'OK'}
