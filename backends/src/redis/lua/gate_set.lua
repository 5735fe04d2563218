-- Sets holds to what the ledger says of them. KEYS: gate, holds that are over.
-- ARGV: most holds over; then four for each: hold, movement, phase, basket.
if not is_warm() then
  return cold()
end
even_when_full()
local over, holds = order(KEYS[2]), {}
for at = 2, #ARGV, 4 do
  holds[#holds + 1] = 'h' .. ARGV[at]
end
fetch(gate, holds)
for at = 2, #ARGV, 4 do
  set(ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2], ARGV[at + 3], over)
end
forget_oldest(over, tonumber(ARGV[1]))
write(gate)
return 'OK'
