-- The places of a line. KEYS[1] is the line: a hash of
--   .server .epoch .serving .rank .holes .holes_total .last .high_water .called .standby   what is known of the line itself
--   p<entry>  a place      b<buyer>  the entry of the buyer's live place, of several the one with the lowest number
--   s<entry>  a settlement of an entry whose place is not known      f<sku>  units in flight
-- How a place is written, see flight.lua.

local line = open(KEYS[1])
local about = {}

-- Reads what is known of the line. False if it is cold.
local function is_warm()
  local fields = { '.server', '.epoch', '.serving', '.rank', '.holes', '.holes_total', '.last', '.high_water', '.called', '.standby' }
  local values = redis.call('HMGET', KEYS[1], unpack(fields))
  if not values[1] or values[1] ~= server() then
    return false
  end
  about.epoch, about.serving, about.rank = tonumber(values[2]), tonumber(values[3]), tonumber(values[4])
  about.holes, about.holes_total = values[5], tonumber(values[6])
  about.last, about.high_water, about.called = tonumber(values[7]), tonumber(values[8]), tonumber(values[9])
  about.standby = tonumber(values[10])
  return true
end

-- How many numbers at or below `seq` are in holes. Cheap for a `seq` above most of them.
local function holes_upto(seq)
  local total, holes = about.holes_total, about.holes
  for at = #holes - 15, 1, -16 do
    local from, to = struct.unpack('>I8I8', holes, at)
    if to <= seq then
      break
    end
    total = total - to + math.max(from - 1, seq)
  end
  return total
end

local function buyer_in(body)
  return 'b' .. string.sub(body, 10, 9 + string.byte(body, 9))
end

local function buyer_of(place)
  return 'b' .. string.sub(place, 39, 38 + string.byte(place, 38))
end

local function seq_of(place)
  return (struct.unpack('>I8', place, 14))
end

local function is_live(place)
  return string.sub(place, 1, 1) ~= 'S' or string.sub(place, 3, 3) == '1'
end

local NO_NUMBER = struct.pack('>I8I8', 0, 0)

-- A place that waits, or stands by if it has no number: the number, the holes below it and the body are 16 bytes and more.
local function open_place(durable, seen_at, numbered)
  local state = string.sub(numbered, 1, 16) == NO_NUMBER and 'B' or 'W'
  return state .. '-1' .. durable .. 'n' .. seen_at .. numbered
end

-- Notes that somebody held the place at `at`: never back.
local function see(entry, at)
  local place = look(line, 'p' .. entry)
  if place and struct.unpack('>i8', place, 6) < at then
    put(line, 'p' .. entry, with(place, 6, struct.pack('>i8', at)))
  end
end

-- The entry of the buyer's live place with a lower number, if there is one. Any number is lower than none, which is 0.
local function lower_of(buyer, entry, seq)
  local other = look(line, buyer)
  if not other or other == entry then
    return nil
  end
  local place = look(line, 'p' .. other)
  local number = place and seq_of(place) or 0
  if number > 0 and (seq == 0 or number < seq) then
    return other
  end
  return nil
end

-- Records an open place; its buyer is bound to it unless they have one with a lower number.
local function register(entry, place)
  local buyer = buyer_of(place)
  if not lower_of(buyer, entry, seq_of(place)) then
    put(line, buyer, entry)
  end
  if string.sub(place, 1, 1) == 'B' then
    about.standby = about.standby + 1
  end
  put(line, 'p' .. entry, place)
end

-- Records an outcome (outcome and live, two bytes). Entries to be forgotten in time are remembered in these orders.
local function settle(entry, settled, over, strangers)
  local place = look(line, 'p' .. entry)
  local live = string.sub(settled, 2, 2) == '1'
  if not place then
    local known = look(line, 's' .. entry)
    if not known or string.sub(known, 2, 2) == '1' then
      put(line, 's' .. entry, settled)
    end
    if not known then
      remember(strangers, entry)
    end
    return
  end
  if not is_live(place) then
    return -- A buyer who was freed is not bound again.
  end
  local state = string.sub(place, 1, 1)
  if state == 'C' then
    about.called = about.called - 1
  elseif state == 'B' then
    about.standby = about.standby - 1
  end
  if string.sub(place, 5, 5) == 'y' then
    fly(line, basket_of(place), -1)
  end
  put(line, 'p' .. entry, 'S' .. settled .. string.sub(place, 4, 4) .. 'o' .. string.sub(place, 6))
  if not live then
    if look(line, buyer_of(place)) == entry then
      drop(line, buyer_of(place))
    end
    remember(over, entry)
  end
end

-- Writes what was counted.
local function write_counts()
  put(line, '.called', about.called)
  put(line, '.standby', about.standby)
end

-- The oldest settled places and settlements of strangers beyond the most are forgotten: the ledger knows them.
local function forget_oldest(over, strangers, most)
  trim(over, most, function(entry) drop(line, 'p' .. entry) end)
  trim(strangers, most, function(entry) drop(line, 's' .. entry) end)
end
