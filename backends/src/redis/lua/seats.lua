-- The seats of a sale as its gate counts them, in the gate's hash:
--   l<sku>  legs      b<sku>  for each seat 1 if it is the neighbour of the one before it, else 0
--   m<sku>  a letter for each leg of each seat: 0 free, h held, s sold
--   x<sku>  seat-legs that count more than once, as JSON of [held, sold] by "seat:leg": for a while, when the ledger has
--           given away what the gate has set aside for another
-- A line of a basket on seated goods is sku:units@passengers/from-to, with =seat.seat… once they are chosen; its units are
-- seat-legs. Seats count from 0, legs too; a row is the letters of one seat.

local seatings = {}

-- The seats of a SKU, or false if it has none.
local function seating_of(gate, sku)
  local seating = seatings[sku]
  if seating == nil then
    local legs = look(gate, 'l' .. sku)
    seating = false
    if legs then
      seating = { sku = sku, legs = tonumber(legs), beside = look(gate, 'b' .. sku), rows = {} }
      local map, legs = look(gate, 'm' .. sku), seating.legs
      for seat = 0, #seating.beside - 1 do
        seating.rows[seat] = string.sub(map, seat * legs + 1, seat * legs + legs)
      end
      local crowd = look(gate, 'x' .. sku)
      seating.crowd = crowd and cjson.decode(crowd) or {}
    end
    seatings[sku] = seating
  end
  return seating
end

local function stretch_of(seated)
  local passengers, from, to, seats = string.match(seated, '^@(%d+)/(%d+)%-(%d+)=?(.*)$')
  return tonumber(passengers), tonumber(from), tonumber(to), seats
end

-- Counts one taker less and one more on a leg; the letter of the leg.
local function recount(seating, seat, leg, letter, leaves, enters)
  local name = seat .. ':' .. leg
  local takers = seating.crowd[name] or { letter == 'h' and 1 or 0, letter == 's' and 1 or 0 }
  for n, column in ipairs({ 'h', 's' }) do
    takers[n] = math.max(takers[n] - (leaves == column and 1 or 0), 0) + (enters == column and 1 or 0)
  end
  local crowded = takers[1] + takers[2] > 1
  if crowded or seating.crowd[name] then
    seating.crowd[name] = crowded and takers or nil
    seating.crowd_changed = true
  end
  return takers[2] > 0 and 's' or takers[1] > 0 and 'h' or '0'
end

-- The letters of a stretch of a row after a passenger moved from one column to another.
local function moved(seating, place, from, letters, leaves, enters)
  local is = leaves == 'n' and '0' or leaves
  if not next(seating.crowd) and letters == string.rep(is, #letters) then
    return string.rep(enters == 'n' and '0' or enters, #letters)
  end
  local changed = {}
  for n = 1, #letters do
    changed[n] = recount(seating, place, from + n - 1, string.sub(letters, n, n), leaves, enters)
  end
  return table.concat(changed)
end

-- Moves the passengers of a line from one column to another: h held, s sold, n nowhere.
local function seat(gate, sku, seated, leaves, enters)
  local _, from, to, seats = stretch_of(seated)
  local seating = seats ~= '' and seating_of(gate, sku)
  if not seating or to > seating.legs then
    return
  end
  for number in string.gmatch(seats, '%d+') do
    local place = tonumber(number)
    local row = seating.rows[place]
    if row then
      local letters = moved(seating, place, from, string.sub(row, from + 1, to), leaves, enters)
      seating.rows[place] = string.sub(row, 1, from) .. letters .. string.sub(row, to + 1)
      seating.changed = true
    end
  end
end

-- Frees what counts as sold, is not sold by these letters of the ledger, and was not sold since.
local function free_unsold(gate, sku, letters, since)
  local seating = seating_of(gate, sku)
  for seat = 0, #seating.beside - 1 do
    local first = seat * seating.legs
    local row = seating.rows[seat]
    if string.find(row, 's', 1, true) and row ~= string.sub(letters, first + 1, first + seating.legs) then
      local changed = {}
      for leg = 0, seating.legs - 1 do
        local letter = string.sub(row, leg + 1, leg + 1)
        local freed = string.sub(letters, first + leg + 1, first + leg + 1) == '0' and not since[seat .. ':' .. leg]
        while freed and letter == 's' do
          letter = recount(seating, seat, leg, letter, 's', 'n')
        end
        changed[leg + 1] = letter
      end
      seating.rows[seat] = table.concat(changed)
      seating.changed = true
    end
  end
end

-- Puts what was changed, to be written with the gate.
local function keep_seats(gate)
  for sku, seating in pairs(seatings) do
    if seating and seating.changed then
      put(gate, 'm' .. sku, table.concat(seating.rows, '', 0, #seating.beside - 1))
      seating.changed = false
    end
    if seating and seating.crowd_changed then
      put(gate, 'x' .. sku, next(seating.crowd) and cjson.encode(seating.crowd) or false)
      seating.crowd_changed = false
    end
  end
end

-- The stretches over which a row has none but these letters, each as wide as it goes: from and to, in pairs.
local function gaps(row, letters)
  local found = {}
  local first, last = string.find(row, letters)
  while first do
    found[#found + 1] = first - 1
    found[#found + 1] = last
    first, last = string.find(row, letters, last + 1)
  end
  return found
end
