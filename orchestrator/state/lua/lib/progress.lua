-- progress: how far a queue has been worked off. Queues are first in, first out: a step that was offered before one that
-- has been claimed, or before its queue was empty, has had its message fetched; `marks` says until when.
local function mark(queue, offered)
  local last = redis.call('HGET', INDEX.marks, queue)
  if tonumber(offered) > tonumber(last or 0) then redis.call('HSET', INDEX.marks, queue, offered) end
end

-- Nobody has to look for this step any more; answers since when it was offered, where that is known.
local function taken(job, step)
  local member, queue = job .. '.' .. step, redis.call('HGET', OF.job .. job, step .. '.queue')
  if not queue then return end
  local since = redis.call('ZSCORE', OF.ready .. queue, member)
  if since then
    redis.call('ZREM', OF.ready .. queue, member)
    mark(queue, since)
  end
  if redis.call('ZREM', INDEX.again, member) == 1 then
    local redriven = string.match(redis.call('HGET', INDEX.waits, member) or '', ':(%d+)$')
    if redriven then mark(queue .. '.again', redriven) end
    redis.call('HDEL', INDEX.waits, member)
  end
  return since
end

-- Steps offered before the answer were fetched longer than `grace` ago: who has not claimed them by now never will.
-- `seen` keeps when the mark was seen where; at most some nine entries, the newest is up to grace / 8 old.
local function passed(queue, at, grace)
  local seen = OF.seen .. queue
  redis.call('ZREMRANGEBYSCORE', seen, '(' .. at, '+inf') -- the clock was set back
  local newest = redis.call('ZRANGE', seen, -1, -1, 'WITHSCORES')
  if not newest[2] or at - newest[2] >= grace / 8 then
    redis.call('ZADD', seen, 'NX', at, redis.call('HGET', INDEX.marks, queue) or '0')
  end
  local old = redis.call('ZREVRANGEBYSCORE', seen, at - grace, '-inf', 'WITHSCORES', 'LIMIT', 0, 1)
  if not old[1] then return 0 end
  redis.call('ZREMRANGEBYSCORE', seen, '-inf', '(' .. old[2])
  return tonumber(old[1])
end

-- Until when the queue is known to have been empty: now; or when the caller asked, where the broker is elsewhere; or 0.
local function empty_at(queue, at, elsewhere, asked)
  local list = queue .. '.' .. TAG
  if MESSAGE == '' then return elsewhere[list] and asked or 0 end
  return redis.call('LLEN', list) == 0 and at or 0
end
