-- begin: what every new job has.
-- USES moves ledger
-- fields: JSON object of the record; ceilings: JSON object kind -> ceiling; milliseconds until the deadline, -1: none
local function begin(job, at, fields, ceilings, milliseconds)
  local key = OF.job .. job
  for name, value in pairs(cjson.decode(fields)) do redis.call('HSET', key, name, value) end
  for kind, ceiling in pairs(cjson.decode(ceilings)) do set_ceiling(job, kind, ceiling) end
  redis.call('HSET', key, 'created', at, 'total', 0, 'left', 0, 'live', 0, 'active', 0, 'parked', 0)
  if tonumber(milliseconds) >= 0 then redis.call('HSET', key, 'clock_left', milliseconds) end
  event(job, 'opened')
end
