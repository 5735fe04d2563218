-- The stock of a sale as its gate counts it. KEYS[1] is the gate: a hash of
--   .server .epoch .generation .building .skus   what is known of the gate itself; .building while a rebuild goes on
--   .moved                the last of the ledger's movements that the image has seen
--   t<sku> u<sku> v<sku>  units in all, held, sold      h<hold>  a hold
-- and for seated goods what seats.lua says. A hold is 22 bytes and a basket as sku:units,…:
--   1 phase H held, S sold, R released    2 where its units are counted: h held, s sold, n nowhere by themselves
--   3 generation    7 the ledger's movement    15 milliseconds at which it was set aside    23 basket
-- A rebuild begins a new generation instead of touching every hold. It renews those that the image lists and those of
-- words that the image has not seen. Any other of an older generation is read as the rebuild would have left it: its
-- units are in the image, it is over if it was held, and unknown if the ledger never recorded it.

local gate = open(KEYS[1])
local about = {}
local COUNTED_AS = { H = 'h', S = 's', R = 'n' }

-- Reads what is known of the gate. False if it is cold.
local function is_warm()
  local values = redis.call('HMGET', KEYS[1], '.server', '.epoch', '.generation', '.building', '.skus', '.moved')
  about.epoch, about.generation = tonumber(values[2] or 0), tonumber(values[3] or 0)
  about.building, about.skus, about.moved = values[4], values[5] or '', tonumber(values[6] or 0)
  about.known = values[1] and values[1] == server()
  return about.known and not about.building
end

local sub, pack, unpack_numbers = string.sub, struct.pack, struct.unpack

local function read_hold(record)
  local generation, movement, since = unpack_numbers('>I4I8I8', record, 3)
  return {
    phase = sub(record, 1, 1),
    counted = sub(record, 2, 2),
    movement = movement,
    since = since,
    basket = sub(record, 23),
    lapsed = generation < about.generation,
  }
end

local function hold_of(id)
  local record = look(gate, 'h' .. id)
  if not record then
    return nil
  end
  local hold = read_hold(record)
  if hold.lapsed then
    hold.counted = 'n'
    if hold.phase == 'H' then
      if hold.movement == 0 then
        return nil
      end
      hold.phase = 'R'
    end
  end
  return hold
end

local clock
local function now_ms()
  clock = clock or redis.call('TIME')
  return clock[1] * 1000 + math.floor(clock[2] / 1000)
end

-- Keeps a hold, set aside when it was the first time.
local function put_hold(id, phase, counted, movement, basket)
  local field = 'h' .. id
  local record = look(gate, field)
  local since = record and sub(record, 15, 22) or pack('>I8', now_ms())
  put(gate, field, phase .. counted .. pack('>I4I8', about.generation, movement) .. since .. basket)
end

local function units(column, sku)
  return tonumber(look(gate, column .. sku) or 0)
end

local function available(sku)
  return math.max(units('t', sku) - units('u', sku) - units('v', sku), 0)
end

-- Moves a basket's units from one column of the levels to another, and its seats with them. SKUs the gate does not know are
-- not counted.
local COLUMN = { h = 'u', s = 'v' }
local function count(basket, from, to)
  if from == to then
    return
  end
  local leaves, enters = COLUMN[from], COLUMN[to]
  for _, item in ipairs(items_of(basket)) do
    local sku = item.sku
    if look(gate, 't' .. sku) then
      if item.seated ~= '' then
        seat(gate, sku, item.seated, from, to)
      end
      if leaves then
        put(gate, leaves .. sku, math.max(units(leaves, sku) - item.units, 0))
      end
      if enters then
        put(gate, enters .. sku, units(enters, sku) + item.units)
      end
    end
  end
end

-- Keeps what became of a hold that is counted.
local function keep(id, phase, counted, movement, basket, over)
  put_hold(id, phase, counted, movement, basket)
  if phase ~= 'H' then
    remember(over, id)
  end
end

-- Counts a hold that is not counted, and keeps what became of it.
local function place(id, phase, counted, movement, basket, over)
  count(basket, 'n', counted)
  keep(id, phase, counted, movement, basket, over)
end

-- Sets a hold to what is said of it, unless that word or a later one was heard. False if it was.
local function set(id, movement, phase, basket, over)
  local known = hold_of(id)
  if known and (movement < known.movement or movement == known.movement and (movement > 0 or phase == known.phase)) then
    return false
  end
  local was = 'n'
  if known and known.basket == basket then
    was = known.counted
  elseif known then
    count(known.basket, known.counted, 'n')
  end
  local counted = COUNTED_AS[phase]
  -- The image has seen this word and does not list the hold: it was over by then. Whether sold or released, the image
  -- counts it.
  if movement > 0 and movement <= about.moved then
    phase, counted = phase == 'H' and 'R' or phase, 'n'
  end
  count(basket, was, counted)
  keep(id, phase, counted, movement, basket, over)
  return true
end

-- The legs of seats of a SKU that words above a movement have sold, as seat:leg.
local function sold_after(heard, sku, movement)
  local sold = {}
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', heard, string.format('(%d', movement), '+inf')) do
    local record = look(gate, 'h' .. id)
    local hold = record and read_hold(record)
    if hold and hold.phase == 'S' then
      for _, item in ipairs(items_of(hold.basket)) do
        if item.sku == sku and item.seated ~= '' then
          local _, from, to, seats = stretch_of(item.seated)
          for number in string.gmatch(seats, '%d+') do
            for leg = from, to - 1 do
              sold[number .. ':' .. leg] = true
            end
          end
        end
      end
    end
  end
  return sold
end

-- The oldest holds that are over, beyond the most, are forgotten: the ledger knows them.
local function forget_oldest(over, most)
  trim(over, most, function(id)
    local record = look(gate, 'h' .. id)
    if record and string.sub(record, 1, 1) ~= 'H' then
      drop(gate, 'h' .. id)
    end
  end)
end

local function write_gate()
  keep_seats(gate)
  write(gate)
end
