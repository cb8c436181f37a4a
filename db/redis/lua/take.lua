-- Takes tokens out of one bucket, by the Redis server's clock.
--
-- A holder (a process) leases tokens and spends them locally. Leased tokens still count as part of the bucket: it
-- refills to at most `burst` less all leases. So in any period no more than burst + rate * period requests pass, for
-- any number of holders. A lease that is not renewed in time expires.
--
-- KEYS[1]  a hash: tokens, at_us (when they were counted), and for each holder "tokens:until_us"
-- ARGV     tokens a second, burst, wanted (below 0: returned, and no lease changes), holder, held (of its lease, not
--          spent yet), length of the lease in us
-- Returns  tokens granted, how many of those held are still the holder's, tokens left in the bucket
local rate, burst, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local holder, held, lease_us = 'lent:' .. ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])

local tokens, at_us, own, others = burst, now_us, 0, 0
local found = redis.call('HGETALL', KEYS[1])
for i = 1, #found, 2 do
  local field, value = found[i], found[i + 1]
  if field == 'tokens' then
    tokens = tonumber(value)
  elseif field == 'at_us' then
    at_us = tonumber(value)
  else
    local lent, until_us = string.match(value, '^(%d+):(%d+)$')
    if tonumber(until_us) <= now_us then
      redis.call('HDEL', KEYS[1], field)
    elseif field == holder then
      own = tonumber(lent)
    else
      others = others + tonumber(lent)
    end
  end
end

held = math.min(held, own)
local refilled = tokens + math.max(0, now_us - at_us) * rate / 1000000
tokens = math.max(0, math.min(burst - others - held, refilled))

-- The less there is, the smaller the blocks: the last tokens do not all go to one holder.
local whole = math.floor(tokens)
local granted = math.min(wanted, whole, math.max(1, math.ceil(whole / 4)))
tokens = math.min(burst, tokens - granted)

-- Stored with all digits, since a slow rate adds very little between two calls.
redis.call('HSET', KEYS[1], 'tokens', string.format('%.17g', tokens), 'at_us', string.format('%.0f', now_us))
if wanted < 0 then
  held = math.min(held, own)
elseif lease_us > 0 and held + granted > 0 then
  redis.call('HSET', KEYS[1], holder, string.format('%d:%.0f', held + granted, now_us + lease_us))
else
  redis.call('HDEL', KEYS[1], holder)
end
-- A bucket that would be full, and has no leases, need not be kept.
local full_ms = (burst - tokens) / rate * 1000
-- It is kept longer than live audio, because Redis, out of memory, evicts what expires soonest (volatile-ttl).
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.max(300000, math.ceil(math.max(full_ms, lease_us / 1000)) + 1000)))
return {granted, held, string.format('%.17g', tokens)}
