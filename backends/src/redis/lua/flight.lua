-- What the line and the gate share: what called entries still want, in the line's hash. A place there is 29 bytes and a
-- body:
--   1 state W waiting, C called, B standing by, S settled    2 outcome (r s l e f, or -)    3 live    4 durable
--   5 in flight: n not yet, y yes, o over     6 seen at    14 number    22 holes below    30 body
-- A body is 8 bytes of the time it was joined, the buyer, the address (each with its length before it), and the basket
-- as sku:units,… to its end. f<sku> counts units; g<sku> counts the passengers of a seated SKU, as JSON by stretch.

local function basket_of(place)
  local address = 39 + string.byte(place, 38)
  return string.sub(place, address + 1 + string.byte(place, address))
end

-- The place with some of its bytes replaced.
local function with(place, at, bytes)
  return string.sub(place, 1, at - 1) .. bytes .. string.sub(place, at + #bytes)
end

local function passengers_in_flight(line, sku)
  local known = look(line, 'g' .. sku)
  return known and cjson.decode(known) or {}
end

-- Adds a basket to what is in flight, or takes it out.
local function fly(line, basket, sign)
  for _, item in ipairs(items_of(basket)) do
    local sku = item.sku
    local units = tonumber(look(line, 'f' .. sku) or 0) + sign * item.units
    put(line, 'f' .. sku, math.max(units, 0))
    local passengers, stretch = string.match(item.seated, '^@(%d+)/(%d+%-%d+)')
    if passengers then
      local all = passengers_in_flight(line, sku)
      local left = (all[stretch] or 0) + sign * tonumber(passengers)
      all[stretch] = left > 0 and left or nil
      put(line, 'g' .. sku, next(all) and cjson.encode(all) or false)
    end
  end
end

-- A worker has the entry in hand: what it wants is never in flight again. False if the line does not know it.
local function work(line, entry)
  local place = look(line, 'p' .. entry)
  if not place then
    return false
  end
  local flight = string.sub(place, 5, 5)
  if flight == 'y' then
    fly(line, basket_of(place), -1)
  end
  if flight ~= 'o' then
    put(line, 'p' .. entry, with(place, 5, 'o'))
  end
  return true
end
