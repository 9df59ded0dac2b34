-- keep: add what a process has recorded to the traces of jobs. Their keys have a TTL from the start: a trace is no state.
-- ARGV ttl_s most job pack [job pack ...]: a pack is spans, packed together; a trace keeps its newest `most` packs
-- answers {OK}. Repeating it after a lost answer keeps packs twice; readers tell spans by their ids.
for i = 3, #ARGV, 2 do
  local key = OF.spans .. ARGV[i]
  if redis.call('RPUSH', key, ARGV[i + 1]) > tonumber(ARGV[2]) then redis.call('LTRIM', key, -ARGV[2], -1) end
  redis.call('EXPIRE', key, ARGV[1])
end
return {'OK'}
