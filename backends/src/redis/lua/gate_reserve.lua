-- All or nothing for each demand, in order, and its entry is no longer in flight. Answers H held, with the basket if it has
-- seats; S short; O over.
-- KEYS: gate, line, worked entries, their order.
-- ARGV: most worked entries; then three for each: hold, entry, basket.
if not is_warm() then
  return cold()
end
even_when_full()
local function reserve(id, basket)
  local known = hold_of(id)
  if known then
    local seats = string.find(known.basket, '=', 1, true) and known.basket or ''
    return known.phase == 'H' and 'H' .. seats or 'O'
  end
  for sku, quantity in string.gmatch(basket, '([^:,]+):(%d+)') do
    if available(sku) < tonumber(quantity) then
      return 'S'
    end
  end
  if not string.find(basket, '@', 1, true) then
    set(id, 0, 'H', basket)
    return 'H'
  end
  basket = seated(basket)
  if not basket then
    return 'S'
  end
  set(id, 0, 'H', basket)
  return 'H' .. basket
end

local holds = {}
for at = 2, #ARGV, 3 do
  holds[#holds + 1] = 'h' .. ARGV[at]
end
fetch(gate, holds)
local replies = {}
for at = 2, #ARGV, 3 do
  replies[#replies + 1] = reserve(ARGV[at], ARGV[at + 2])
end
write_gate()

local line, worked, arrived = open(KEYS[2]), open(KEYS[3]), order(KEYS[4])
local line_is_warm = redis.call('HGET', KEYS[2], '.server') == server()
for at = 3, #ARGV, 3 do
  local entry = ARGV[at]
  -- A call that comes late must not put it in flight.
  if not (line_is_warm and work(line, entry)) and not look(worked, entry) then
    put(worked, entry, 1)
    remember(arrived, entry)
  end
end
write(line)
trim(arrived, tonumber(ARGV[1]), function(entry) drop(worked, entry) end)
write(worked)
return replies
