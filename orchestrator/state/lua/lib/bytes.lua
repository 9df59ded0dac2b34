-- bytes: of a tool's answer, which may be as large as its process allows. Where a job has less than that left, a call gets all
-- that is left, and it alone: until it is settled the others wait, since what it does not use is free for the next.
-- An answer that never came is free, while all else that a call may have cost is charged.

-- The amounts with as many bytes as this call may have now; nil where calls under way hold what is left.
local function allot(job, amounts)
  local wanted = tonumber(string.match(amounts, 'answer_bytes=(%d+)') or 0)
  local f = redis.call('HMGET', OF.job .. job, 'max:answer_bytes', 'spent:answer_bytes', 'held:answer_bytes')
  local top, held = tonumber(f[1] or -1), tonumber(f[3] or 0)
  local free = top - (f[2] or 0) - held
  if wanted == 0 or top < 0 or free >= wanted or (free <= 0 and held == 0) then return amounts end
  if held == 0 then return (string.gsub(amounts, 'answer_bytes=%d+', string.format('answer_bytes=%.0f', free))) end
end

local function unanswered(amounts) return (string.gsub(amounts, 'answer_bytes=%d+', '')) end
