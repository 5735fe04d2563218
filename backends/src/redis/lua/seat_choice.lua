-- Who sits where: the same choice as SeatMap in the core. One passenger gets the seat with the smallest gap, the fewest free
-- legs next to the stretch; a party sits side by side if it can, else each gets the next best; the first seat wins a tie.
--
-- Seats are found by the gaps they have, not one by one: there are few kinds of gaps, and many seats. Within one call seats
-- are only taken, so a gap that is gone stays gone.

local known_gaps = {}

-- Where the free gaps of a row end, by where they begin.
local function ends_of(row)
  local ends = known_gaps[row]
  if not ends then
    ends = {}
    local found = gaps(row, '0+')
    for n = 1, #found, 2 do
      ends[found[n]] = found[n + 1]
    end
    known_gaps[row] = ends
  end
  return ends
end

-- Lists a seat under one of its gaps, in order.
local function list(seating, place, from, to)
  local name = from * 65 + to
  local places = seating.lists[name]
  if not places then
    places = { head = 1 }
    seating.lists[name] = places
  end
  local at = #places + 1
  while at > places.head and places[at - 1] > place do
    at = at - 1
  end
  table.insert(places, at, place)
end

local function list_all(seating)
  seating.lists = {}
  for place = 0, #seating.beside - 1 do
    for from, to in pairs(ends_of(seating.rows[place])) do
      list(seating, place, from, to)
    end
  end
end

-- The first seat with this very gap.
local function first_with(seating, from, to)
  local places = seating.lists[from * 65 + to]
  while places and places[places.head] do
    local place = places[places.head]
    if ends_of(seating.rows[place])[from] == to then
      return place
    end
    places.head = places.head + 1
  end
end

local function best(seating, from, to)
  local right_max = seating.legs - to
  for gap = 0, from + right_max do
    local found
    for left = math.max(gap - right_max, 0), math.min(gap, from) do
      local place = first_with(seating, from - left, to + gap - left)
      if place and (not found or place < found) then
        found = place
      end
    end
    if found then
      return found
    end
  end
end

-- Adds the seats that have this very gap, in their order.
local function add_with(seating, from, to, places)
  local listed = seating.lists[from * 65 + to]
  for n = listed and listed.head or 1, listed and #listed or 0 do
    if ends_of(seating.rows[listed[n]])[from] == to then
      places[#places + 1] = listed[n]
    end
  end
end

-- The seats that leave so many free legs next to a stretch, in order.
local function leaving(seating, from, to, gap)
  local places, kinds = {}, 0
  for left = math.max(gap - seating.legs + to, 0), math.min(gap, from) do
    local before = #places
    add_with(seating, from - left, to + gap - left, places)
    kinds = kinds + (#places > before and 1 or 0)
  end
  if kinds > 1 then
    table.sort(places)
  end
  return places
end

-- The first of so many neighbours where the gaps are smallest together; `enough` is as small as they can be.
local function side_by_side(seating, places, gap_of, passengers, enough)
  local first, least, before
  local run, sum = 0, 0
  for _, place in ipairs(places) do
    if before ~= place - 1 or string.byte(seating.beside, place + 1) ~= 49 then
      run, sum = 0, 0
    end
    before, run, sum = place, run + 1, sum + gap_of[place]
    if run > passengers then
      run, sum = passengers, sum - gap_of[place - passengers]
    end
    if run == passengers and (not least or sum < least) then
      least, first = sum, place + 1 - passengers
      if sum == enough then
        return first
      end
    end
  end
  return first
end

-- Several seats. Mostly some of those with the smallest gap are neighbours; if not, all that are free are looked at.
local function party(seating, from, to, passengers)
  local apart, gap_of, first, enough = {}, {}, nil, nil
  for gap = 0, from + seating.legs - to do
    local places = leaving(seating, from, to, gap)
    for _, place in ipairs(places) do
      apart[#apart + 1] = place
      gap_of[place] = gap
    end
    if not enough and #places > 0 then
      enough = gap * passengers
      first = side_by_side(seating, places, gap_of, passengers, enough)
      if first then
        break
      end
    end
  end
  if not first then
    local places = {}
    for n, place in ipairs(apart) do
      places[n] = place
    end
    table.sort(places)
    first = side_by_side(seating, places, gap_of, passengers, enough)
  end
  if not first and #apart < passengers then
    return nil
  end
  local chosen = {}
  for n = 1, passengers do
    chosen[n] = first and first + n - 1 or apart[n]
  end
  return chosen
end

-- Seats for a party, all or nil. They are taken in the rows, and written there again when the hold is counted.
local function choose(seating, from, to, passengers)
  if to > seating.legs then
    return nil
  end
  if not seating.lists then
    list_all(seating)
  end
  local chosen
  if passengers == 1 then
    local place = best(seating, from, to)
    chosen = place and { place }
  else
    chosen = party(seating, from, to, passengers)
  end
  for _, place in ipairs(chosen or {}) do
    local row = seating.rows[place]
    local first, last = from, to
    for begin, ending in pairs(ends_of(row)) do
      if begin <= from and to <= ending then
        first, last = begin, ending
      end
    end
    seating.rows[place] = string.sub(row, 1, from) .. string.rep('t', to - from) .. string.sub(row, to + 1)
    if first < from then
      list(seating, place, first, from)
    end
    if to < last then
      list(seating, place, to, last)
    end
  end
  return chosen
end

local function give_back(seating, from, to, chosen)
  for _, place in ipairs(chosen) do
    local row = seating.rows[place]
    seating.rows[place] = string.sub(row, 1, from) .. string.rep('0', to - from) .. string.sub(row, to + 1)
  end
end

-- A basket with seats for all its passengers, or nil. Longer stretches choose first, then the order of the basket.
local function seated(basket)
  local lines, order, whole = {}, {}, true
  for text in string.gmatch(basket, '[^,]+') do
    local line = { text = text, at = #lines + 1 }
    local sku, rest = string.match(text, '^([^:]+):%d+(@.*)$')
    if sku then
      line.sku = sku
      line.passengers, line.from, line.to = stretch_of(rest)
      order[#order + 1] = line
    end
    lines[#lines + 1] = line
  end
  table.sort(order, function(a, b)
    local far, near = a.to - a.from, b.to - b.from
    return far > near or far == near and a.at < b.at
  end)
  for _, line in ipairs(order) do
    line.seating = seating_of(gate, line.sku)
    line.chosen = whole and line.seating and choose(line.seating, line.from, line.to, line.passengers)
    whole = whole and line.chosen
  end
  for _, line in ipairs(order) do
    if line.chosen then
      give_back(line.seating, line.from, line.to, line.chosen)
      line.text = line.text .. '=' .. table.concat(line.chosen, '.')
      if not whole then
        line.seating.lists = nil
      end
    end
  end
  if not whole then
    return nil
  end
  for n, line in ipairs(lines) do
    lines[n] = line.text
  end
  return table.concat(lines, ',')
end
