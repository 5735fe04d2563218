-- Notes that the waiting queue has confirmed these entries. KEYS: line. ARGV: the fields of their places.
if not is_warm() then
  return cold()
end
local confirmed, count, byte, sub = {}, 0, string.byte, string.sub
local YES = byte('1')
for first = 1, #ARGV, CHUNK do
  local places = redis.call('HMGET', line.key, unpack(ARGV, first, math.min(first + CHUNK - 1, #ARGV)))
  for n, place in ipairs(places) do
    if place and byte(place, 4) ~= YES then
      confirmed[count + 1], confirmed[count + 2] = ARGV[first + n - 1], sub(place, 1, 3) .. '1' .. sub(place, 5)
      count = count + 2
    end
  end
end
even_when_full()
in_chunks('HSET', line.key, confirmed)
return 'OK'
