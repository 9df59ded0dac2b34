-- commit_undo: a step is undone as far as it can be; the next one follows. With the last one the job's keys begin to expire.
-- ARGV job undo~<step> fence what was undone and what was not (JSON) retention_s
-- answers {OK, {next}, {its specialist}} | STALE state
-- Repeating it answers STALE succeeded.
-- USES clock moves offer held
local job, undo, at, key = ARGV[1], ARGV[2], now(), OF.job .. ARGV[1]
local no = not_ours(job, undo, ARGV[3])
if no then return no end
let_go(job, undo, 'succeeded')
redis.call('HINCRBY', key, 'live', -1)
redis.call('HSET', key, undo .. '.out', ARGV[4])
event(job, 'undone', string.sub(undo, #UNDO + 1), ARGV[4])
redis.call('HINCRBY', key, 'undo_left', -1)
local next = redis.call('HGET', key, undo .. '.next')
if next == '' then
  event(job, 'undo_ended')
  wake(job)
  each_key(job, 'EXPIRE', ARGV[5])
  return {'OK', {}, {}}
end
offer(job, {next}, at)
return {'OK', {next}, {redis.call('HGET', key, next .. '.spec')}}
