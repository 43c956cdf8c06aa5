-- One step of GCRA on Redis's own clock; the same arithmetic as gcra.rs.
-- KEYS[1]: the theoretical arrival time, in µs. ARGV: µs a request, µs a full burst, requests wanted
-- (below 0: given back). Answers: how many were granted, µs in use afterwards, the clock.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, capacity, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local arrival = tonumber(redis.call('GET', KEYS[1]) or now)
-- A clock that was set back must not lock anybody out.
arrival = math.min(math.max(arrival, now), now + capacity)
local granted = math.min(wanted, math.floor((now + capacity - arrival) / interval))
if granted ~= 0 then
  arrival = math.max(arrival + granted * interval, now)
  local lives = math.ceil((arrival - now) / 1000)
  if lives > 0 then
    redis.call('SET', KEYS[1], string.format('%.0f', arrival), 'PX', lives)
  else
    redis.call('DEL', KEYS[1])
  end
end
return { granted, arrival - now, now }
