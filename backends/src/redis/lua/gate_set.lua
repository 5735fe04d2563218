-- Sets holds to what the ledger says of them. KEYS: gate, holds that are over, words heard.
-- ARGV: most holds over, most words; then four for each: hold, movement, phase, basket.
if not is_warm() then
  return cold()
end
even_when_full()
local over, holds, heard = order(KEYS[2]), {}, {}
for at = 3, #ARGV, 4 do
  holds[#holds + 1] = 'h' .. ARGV[at]
end
fetch(gate, holds)
for at = 3, #ARGV, 4 do
  local id, movement = ARGV[at], tonumber(ARGV[at + 1])
  -- A rebuild from an image that has not seen this word will ask for it.
  if set(id, movement, ARGV[at + 2], ARGV[at + 3], over) and movement > about.moved then
    heard[#heard + 1] = movement
    heard[#heard + 1] = id
  end
end
in_chunks('ZADD', KEYS[3], heard)
redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -1 - tonumber(ARGV[2]))
forget_oldest(over, tonumber(ARGV[1]))
write_gate()
return 'OK'
