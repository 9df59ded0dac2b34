-- grow: add steps to a running plan; answers why it cannot be, or nil. New steps come after the one that grows the plan, which
-- is still running: its commit frees them.
-- growth: {rows = JSON rows as in plant; before = {existing steps that wait for them too}, after = {step -> {new dependants}},
--   numbers = {step -> its new number}}
local function grow(job, growth, grower)
  local key = OF.job .. job
  for step in pairs(growth.before) do
    local f = redis.call('HMGET', key, step .. '.state', step .. '.fence')
    if f[1] ~= 'pending' then return step .. ' is ' .. (f[1] or 'not in the plan') end
  end
  for _, row in ipairs(cjson.decode(growth.rows)) do -- another step may have grown the plan since it was read
    if redis.call('HEXISTS', key, row.n .. '.state') == 1 then return row.n .. ' is in the plan already' end
  end
  for step, added in pairs(growth.before) do
    redis.call('HINCRBY', key, step .. '.need', #added)
    local deps = redis.call('HGET', key, step .. '.deps')
    redis.call('HSET', key, step .. '.deps', (deps ~= '' and deps .. ',' or '') .. table.concat(added, ','))
  end
  for step, added in pairs(growth.after) do
    local next = redis.call('HGET', key, step .. '.next')
    redis.call('HSET', key, step .. '.next', (next ~= '' and next .. ',' or '') .. table.concat(added, ','))
  end
  plant(job, growth.rows)
  for _, row in ipairs(cjson.decode(growth.rows)) do redis.call('HSET', key, row.n .. '.by', grower) end
  for step, number in pairs(growth.numbers) do redis.call('HSET', key, step .. '.no', number) end
end
