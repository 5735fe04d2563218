-- How often a buyer and a device join, over all who ask: GCRA on this server's clock.
-- A cell is the microsecond at which an allowance is whole again. Cells are kept in KEYS[4]; when its time is over, that
-- becomes KEYS[5], which is forgotten with the next such rotation: by then every allowance in it is whole. So a time lasts as
-- long as the longest allowance of the time before it takes to be whole.
--
-- Beside the cells `b<buyer>` and `d<device>` there are `.until`, when the time is over; `.lasts`, how long it is in all; and
-- `.span`, the longest that an allowance counted in it takes to be whole.
--
-- Overflow: at CELLS_MAX cells the rotation comes at once. What is forgotten early by it counts as whole.

-- The shortest time between two rotations, in microseconds.
local ROTATION_MIN = 1000000
-- Most cells in each of the two keys, but for those of one call.
local CELLS_MAX = 1000000

local recent, before, counted = open(KEYS[4]), open(KEYS[5]), {}
-- `span` is that of the cells that stay or become recent, `ends` the end of their time, `lasts` its length.
local now, span, ends, lasts, rotates = 0, ROTATION_MIN, 0, 0, false

-- A rate per second and a burst, as microseconds: what one join takes, and how long an empty allowance needs. Most joins have
-- the same limits, so they are read once.
local read = {}
local function limit_in(bytes)
  local limit = read[bytes]
  if not limit then
    local per_second, burst = struct.unpack('>I8I8', bytes)
    local each = math.max(1, math.floor(1000000 / per_second))
    limit = { each = each, whole = each * burst }
    read[bytes] = limit
    span = math.max(span, limit.whole)
  end
  return limit
end

-- The cells that joins count in, by the place of the join in the call. `limits` is nothing, or the buyer's limit, and perhaps a
-- device and its own. No table for each: a crowd joins here.
local buyer_cell, buyer_limit, buyer_after = {}, {}, {}
local device_cell, device_limit, device_after = {}, {}, {}
local cells = { '.until', '.span', '.lasts' }
local function will_count(n, limits, buyer)
  if limits == '' then
    return
  end
  local bytes = #limits
  buyer_cell[n], buyer_limit[n] = buyer, limit_in(bytes == 16 and limits or string.sub(limits, 1, 16))
  cells[#cells + 1] = buyer
  if bytes > 16 then
    local device = 'd' .. string.sub(limits, 17, 32)
    device_cell[n], device_limit[n] = device, limit_in(string.sub(limits, 33))
    cells[#cells + 1] = device
  end
end

-- Reads what is known of all these cells.
local function read_cells()
  if #cells == 3 then
    return
  end
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
  fetch(recent, cells)
  fetch(before, cells)
  ends, lasts = tonumber(look(recent, '.until') or 0), tonumber(look(recent, '.lasts') or 0)
  local outgoing = tonumber(look(recent, '.span') or 0)
  -- A time that is too far ahead was written before the clock was set back.
  rotates = now >= ends or ends > now + 2 * lasts or redis.call('HLEN', recent.key) >= CELLS_MAX
  if rotates then
    lasts = math.max(ROTATION_MIN, outgoing)
    ends = now + lasts
  else
    span = math.max(span, outgoing)
  end
end

-- When the allowance would be whole again after one more join.
local function after(cell, limit)
  local known = counted[cell] or recent.known[cell] or not rotates and before.known[cell]
  if not known then
    return now + limit.each
  end
  known = tonumber(known)
  -- Nobody owes more than everything, whatever became of the clock or the limit. That is noted even if the join is refused:
  -- it would owe as much again when it comes back.
  if known > now + limit.whole then
    known = now + limit.whole
    counted[cell] = known
  end
  return math.max(now, known) + limit.each
end

-- Which limit refuses the n-th join, and for how many milliseconds; nil if none does.
local function refusal(n)
  local cell, limit = buyer_cell[n], buyer_limit[n]
  if not cell then
    return nil
  end
  local whole = after(cell, limit)
  local kind, wait = 'b', whole - now - limit.whole
  buyer_after[n] = whole
  cell, limit = device_cell[n], device_limit[n]
  if cell then
    whole = after(cell, limit)
    device_after[n] = whole
    if whole - now - limit.whole > math.max(wait, 0) then
      kind, wait = 'd', whole - now - limit.whole
    end
  end
  return wait > 0 and 'R' .. kind .. struct.pack('>I8', math.ceil(wait / 1000)) or nil
end

-- Counts the n-th join, which was not refused just now.
local function count(n)
  local cell = buyer_cell[n]
  if cell then
    counted[cell] = buyer_after[n]
    cell = device_cell[n]
    if cell then
      counted[cell] = device_after[n]
    end
  end
end

-- Writes what was counted or corrected. Not before the places: a server at its memory limit refuses a script's first write only.
local function write_cells()
  if next(counted) == nil then
    return
  end
  local fields = { '.span', string.format('%d', span) }
  if rotates then
    redis.call('UNLINK', before.key)
    if look(recent, '.until') then
      redis.call('RENAME', recent.key, before.key)
    end
    fields[3], fields[4] = '.until', string.format('%d', ends)
    fields[5], fields[6] = '.lasts', string.format('%d', lasts)
  end
  local at = #fields
  for cell, whole in pairs(counted) do
    fields[at + 1], fields[at + 2] = cell, string.format('%d', whole)
    at = at + 2
  end
  in_chunks('HSET', recent.key, fields)
  -- Not before its time is over: without it, the next join would rotate.
  redis.call('PEXPIRE', recent.key, math.ceil((math.max(span, ends - now) + span) / 1000))
end
