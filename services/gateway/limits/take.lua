-- The decision of gcra.py, by the clock of Redis. A bucket is the instant (in microseconds) at which its debt has melted.
-- KEYS: buckets. ARGV, per bucket: interval in microseconds, limit, cost, at most.
-- Gives, per bucket: cells granted, debt and wait in microseconds. Cells come from every bucket or from none.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answers, is_refused = {}, false
for i, key in ipairs(KEYS) do
  local interval, limit = tonumber(ARGV[4 * i - 3]), tonumber(ARGV[4 * i - 2])
  local cost, at_most = tonumber(ARGV[4 * i - 1]), tonumber(ARGV[4 * i])
  local window = interval * limit
  local debt = math.min(math.max(0, tonumber(redis.call('GET', key) or '0') - now), window)
  local wait = math.max(0, cost * interval - (window - debt))
  is_refused = is_refused or wait > 0
  answers[i] = {math.min(at_most, math.floor((window - debt) / interval)), debt, wait}
end
for i, key in ipairs(KEYS) do
  local answer, interval = answers[i], tonumber(ARGV[4 * i - 3])
  if is_refused then
    answer[1] = 0
  else
    local debt = math.max(0, answer[2] + answer[1] * interval)
    answer[2] = debt
    if debt > 0 then
      redis.call('SET', key, now + debt, 'PX', math.ceil(debt / 1000))
    else
      redis.call('DEL', key)
    end
  end
end
return answers
