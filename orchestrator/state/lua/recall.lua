-- recall: what the attempts of a step have asked so far, without the answers.
-- ARGV job step
-- answers {{number, fingerprint, tool, effect or '', state, sends, begun at (ms) or 0}, ...} by number.
-- Repeating it answers the same: it changes nothing. It needs no fence: only the step's holder adds calls, and what an attempt
-- that has lost its step makes of this, call_begin and commit refuse.
local job, step = ARGV[1], ARGV[2]
local key, rows = OF.calls .. job, {}
for number = 1, tonumber(redis.call('HGET', OF.job .. job, step .. '.calls') or 0) do
  local n = step .. ':' .. number .. ':'
  local f = redis.call('HMGET', key, n .. 'print', n .. 'tool', n .. 'effect', n .. 'state', n .. 'sends', n .. 'at')
  if f[1] then
    rows[#rows + 1] = {number, f[1], f[2], f[3] or '', f[4], tonumber(f[5] or 1), tonumber(f[6] or 0)}
  end
end
return rows
