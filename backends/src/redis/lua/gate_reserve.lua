-- All or nothing for each demand, in order, and its entry is no longer in flight. Answers H held, with the basket if it has
-- seats; S short; O over.
-- KEYS: gate, line, worked entries, their order.
-- ARGV: most worked entries; then three for each: hold, entry, basket.
if not is_warm() then
  return cold()
end
even_when_full()
local BARE = pack('>I4I8I8', about.generation, 0, now_ms())
local left, taken = {}, {}

-- Counts what was taken so far.
local function settle_taken()
  for sku, count in pairs(taken) do
    put(gate, 'u' .. sku, units('u', sku) + count)
  end
  left, taken = {}, {}
end

-- Units of each item, if all are there; they are counted with those of the others.
local function take(items)
  for _, item in ipairs(items) do
    left[item.sku] = left[item.sku] or available(item.sku)
    if left[item.sku] < item.units then
      return false
    end
  end
  for _, item in ipairs(items) do
    left[item.sku] = left[item.sku] - item.units
    taken[item.sku] = (taken[item.sku] or 0) + item.units
  end
  return true
end

local function reserve(id, basket)
  local known = hold_of(id)
  if known then
    local seats = string.find(known.basket, '=', 1, true) and known.basket or ''
    return known.phase == 'H' and 'H' .. seats or 'O'
  end
  if not string.find(basket, '@', 1, true) then
    if not take(items_of(basket)) then
      return 'S'
    end
    put(gate, 'h' .. id, 'Hh' .. BARE .. basket)
    return 'H'
  end
  settle_taken()
  for _, item in ipairs(items_of(basket)) do
    if available(item.sku) < item.units then
      return 'S'
    end
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
settle_taken()
write_gate()

local line, worked, arrived = open(KEYS[2]), open(KEYS[3]), order(KEYS[4])
local line_is_warm = redis.call('HGET', KEYS[2], '.server') == server()
local places, entries = {}, {}
for at = 3, #ARGV, 3 do
  places[#places + 1], entries[#entries + 1] = 'p' .. ARGV[at], ARGV[at]
end
if line_is_warm then
  fetch(line, places)
end
-- Most are either all known to the line or none.
if not (line_is_warm and places[1] and look(line, places[1])) then
  fetch(worked, entries)
end
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
