-- Writes down what a rebuild made of the holds it did not name, some at a time; nothing that the gate answers changes.
-- KEYS: gate, holds that are over. ARGV: where to go on, how many, most holds over. Answers where to go on next.
if not is_warm() then
  return cold()
end
even_when_full()
local over = order(KEYS[2])
local page = redis.call('HSCAN', KEYS[1], ARGV[1], 'MATCH', 'h*', 'COUNT', ARGV[2])
for n = 1, #page[2], 2 do
  local id, hold = string.sub(page[2][n], 2), read_hold(page[2][n + 1])
  if hold.lapsed and hold.phase == 'H' then
    if hold.movement == 0 then
      drop(gate, 'h' .. id)
    else
      put_hold(id, 'R', 'n', hold.movement, hold.basket)
      remember(over, id)
    end
  end
end
forget_oldest(over, tonumber(ARGV[3]))
write_gate()
return page[1]
