-- inputs: what a step comes after: {dep, output, ...} of those that succeeded, and the names of those without output.
local function inputs_of(job, deps)
  local inputs, missing = {}, {}
  for dep in string.gmatch(deps, '[^,]+') do
    local out = redis.call('HMGET', OF.job .. job, dep .. '.state', dep .. '.out')
    if out[1] == 'succeeded' then inputs[#inputs + 1] = dep; inputs[#inputs + 1] = out[2] else missing[#missing + 1] = dep end
  end
  return inputs, missing
end
