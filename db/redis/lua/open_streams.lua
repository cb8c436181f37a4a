-- Stores how many streams a process has open for some callers, unless all processes together would exceed a limit.
-- A process reports totals, not changes, so that the next report corrects a lost one. The counts of a dead process
-- expire with its lease.
--
-- KEYS     for each caller a hash: process -> "streams:until_us"
-- ARGV     process, length of its lease in us, then for each key: its streams, and the limit (0: none)
-- Returns  0 if the counts were stored, else the index (from 1) of the key at its limit: then nothing has changed
local holder, lease_us = ARGV[1], tonumber(ARGV[2])
local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])

local function of_others(key)
  local others, found = 0, redis.call('HGETALL', key)
  for i = 1, #found, 2 do
    local streams, until_us = string.match(found[i + 1], '^(%d+):(%d+)$')
    if tonumber(until_us) <= now_us then
      redis.call('HDEL', key, found[i])
    elseif found[i] ~= holder then
      others = others + tonumber(streams)
    end
  end
  return others
end

for n, key in ipairs(KEYS) do
  local streams, most = tonumber(ARGV[1 + 2 * n]), tonumber(ARGV[2 + 2 * n])
  if most > 0 and streams + of_others(key) > most then
    return n
  end
end
for n, key in ipairs(KEYS) do
  local streams = tonumber(ARGV[1 + 2 * n])
  if streams == 0 then
    redis.call('HDEL', key, holder)
  else
    redis.call('HSET', key, holder, string.format('%d:%.0f', streams, now_us + lease_us))
    -- Longer than live audio is kept: where memory runs out, that goes first (volatile-ttl).
    redis.call('PEXPIRE', key, math.max(300000, math.ceil(lease_us / 1000)))
  end
end
return 0
