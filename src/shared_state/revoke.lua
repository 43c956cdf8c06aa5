-- Says that a token is revoked. KEYS[1]: the stream; ARGV: its id, ms to remember it, ms that the
-- longest-lived token may live, after which no entry is needed.
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local oldest = string.format('%.0f', now_ms - tonumber(ARGV[3]))
redis.call('XADD', KEYS[1], 'MINID', '~', oldest, '*', 'revoked', ARGV[1], 'ms', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
