-- plant: put steps into the record; answers the names of those that depend on nothing unfinished.
-- rows: JSON list of {n name, s specialist, q queue, d {dependencies}, x {dependants}, o optional, a arguments, no number}
local function plant(job, rows)
  local key, first = OF.job .. job, {}
  local list, lasts = cjson.decode(rows), 0
  for _, row in ipairs(list) do
    local n, need = row.n .. '.', #row.d
    for _, dep in ipairs(row.d) do
      local state = redis.call('HGET', key, dep .. '.state')
      if state == 'succeeded' or state == 'failed' then need = need - 1 end
    end
    redis.call('HSET', key, n .. 'state', 'pending', n .. 'spec', row.s, n .. 'queue', row.q, n .. 'need', need,
      n .. 'deps', table.concat(row.d, ','), n .. 'next', table.concat(row.x, ','), n .. 'opt', row.o,
      n .. 'args', row.a, n .. 'no', row.no, n .. 'try', 0)
    if #row.x == 0 then lasts = lasts + 1 end
    if need <= 0 then first[#first + 1] = row.n end
  end
  redis.call('HINCRBY', key, 'total', #list)
  redis.call('HINCRBY', key, 'lasts', lasts)
  redis.call('HINCRBY', key, 'left', #list)
  local order = redis.call('HGET', key, 'order')
  for _, row in ipairs(list) do order = (order and order ~= '' and order .. ',' or '') .. row.n end
  redis.call('HSET', key, 'order', order)
  return first
end
