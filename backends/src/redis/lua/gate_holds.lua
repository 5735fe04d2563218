-- A page of what is held. KEYS: gate. ARGV: where to go on, how many. Answers where to go on next (0 at the end), then four
-- for each hold: the hold, its movement, its age in milliseconds, its basket.
if not is_warm() then
  return cold()
end
local page = redis.call('HSCAN', KEYS[1], ARGV[1], 'MATCH', 'h*', 'COUNT', ARGV[2])
local holds = { page[1] }
for n = 1, #page[2], 2 do
  local hold = read_hold(page[2][n + 1])
  if hold.phase == 'H' and not hold.lapsed then
    holds[#holds + 1] = string.sub(page[2][n], 2)
    holds[#holds + 1] = hold.movement
    holds[#holds + 1] = math.max(now_ms() - hold.since, 0)
    holds[#holds + 1] = hold.basket
  end
end
return holds
