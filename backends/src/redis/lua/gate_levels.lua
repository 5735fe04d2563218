-- Five for each SKU: SKU, available, held, in flight, and of a seated one its legs, which gaps are free, which are unsold, and
-- who is in flight, three for each stretch: from, to, how many. KEYS: gate, line.
if not is_warm() then
  return cold()
end
local flight = open(KEYS[2])
local line_is_warm = redis.call('HGET', KEYS[2], '.server') == server()

local function count_gaps(seating, letters)
  local seats, by_row, told = {}, {}, {}
  for place = 0, #seating.beside - 1 do
    local row = seating.rows[place]
    by_row[row] = by_row[row] or gaps(row, letters)
    local found = by_row[row]
    for n = 1, #found, 2 do
      local name = found[n] * 65 + found[n + 1]
      seats[name] = (seats[name] or 0) + 1
    end
  end
  for name, count in pairs(seats) do
    told[#told + 1] = math.floor(name / 65)
    told[#told + 1] = name % 65
    told[#told + 1] = count
  end
  return told
end

local function seats_of(sku)
  local seating, in_flight = seating_of(gate, sku), {}
  if not seating then
    return {}
  end
  for stretch, passengers in pairs(line_is_warm and passengers_in_flight(flight, sku) or {}) do
    local from, to = string.match(stretch, '(%d+)-(%d+)')
    in_flight[#in_flight + 1] = tonumber(from)
    in_flight[#in_flight + 1] = tonumber(to)
    in_flight[#in_flight + 1] = passengers
  end
  return { seating.legs, count_gaps(seating, '0+'), count_gaps(seating, '[0h]+'), in_flight }
end

local levels = {}
for sku in string.gmatch(about.skus, '[^,]+') do
  levels[#levels + 1] = sku
  levels[#levels + 1] = available(sku)
  levels[#levels + 1] = units('u', sku)
  levels[#levels + 1] = line_is_warm and tonumber(look(flight, 'f' .. sku) or 0) or 0
  levels[#levels + 1] = seats_of(sku)
end
return levels
