-- How often a buyer and a device join, over all who ask: GCRA on this server's clock.
-- A cell is the microsecond at which an allowance is whole again. Cells are kept in KEYS[4]; when its time is over it becomes
-- KEYS[5], and is forgotten with the next turn: by then every allowance in it is whole. Beside the cells `b<buyer>` and
-- `d<device>` it has `.until`, when its time is over, and `.span`, the longest that an allowance takes to be whole.

-- The shortest time between two turns, in microseconds.
local TURN_MIN = 1000000

local recent, before, counted = open(KEYS[4]), open(KEYS[5]), {}
local now, span, turns = 0, TURN_MIN, false

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

-- The cells one join counts in: `limits` is nothing, or the buyer's limit, and perhaps a device and its own.
local function cells_of(limits, buyer)
  local cells = {}
  if limits ~= '' then
    cells[1] = { kind = 'b', field = buyer, limit = limit_in(string.sub(limits, 1, 16)) }
  end
  if #limits > 16 then
    local device = 'd' .. string.sub(limits, 17, 32)
    cells[2] = { kind = 'd', field = device, limit = limit_in(string.sub(limits, 33)) }
  end
  return cells
end

-- Reads what is known of all these cells.
local function read_cells(joins)
  local fields = { '.until', '.span' }
  for _, cells in ipairs(joins) do
    for _, cell in ipairs(cells) do
      fields[#fields + 1] = cell.field
    end
  end
  if #fields > 2 then
    local time = redis.call('TIME')
    now = tonumber(time[1]) * 1000000 + tonumber(time[2])
    fetch(recent, fields)
    fetch(before, fields)
    span = math.max(span, tonumber(look(recent, '.span') or 0))
    -- A time that is too far ahead was written before the clock was set back.
    local over = tonumber(look(recent, '.until') or 0)
    turns = now >= over or over > now + 2 * span
  end
end

-- When the allowance would be whole again after one more join.
local function after(cell)
  local field = cell.field
  local known = counted[field] or look(recent, field) or (not turns and look(before, field)) or 0
  -- Nobody owes more than everything, whatever the clock did.
  local owed = math.min(tonumber(known), now + cell.limit.whole)
  return math.max(now, owed) + cell.limit.each
end

-- Which limit refuses a join, and for how many milliseconds; nil if none does.
local function refusal(cells)
  local kind, wait = nil, 0
  for _, cell in ipairs(cells) do
    cell.after = after(cell)
    local more = cell.after - now - cell.limit.whole
    if more > wait then
      kind, wait = cell.kind, more
    end
  end
  return kind and 'R' .. kind .. struct.pack('>I8', math.ceil(wait / 1000))
end

-- Counts a join that was not refused just now.
local function count(cells)
  for _, cell in ipairs(cells) do
    counted[cell.field] = cell.after
  end
end

-- Writes what was counted. Not before the places: a server at its memory limit refuses a script's first write only.
local function write_cells()
  if next(counted) == nil then
    return
  end
  local fields = { '.span', string.format('%.0f', span) }
  if turns then
    redis.call('UNLINK', before.key)
    if look(recent, '.until') then
      redis.call('RENAME', recent.key, before.key)
    end
    fields[3], fields[4] = '.until', string.format('%.0f', now + span)
  end
  for field, whole in pairs(counted) do
    fields[#fields + 1] = field
    fields[#fields + 1] = string.format('%.0f', whole)
  end
  in_chunks('HSET', recent.key, fields)
  redis.call('PEXPIRE', recent.key, math.ceil(2 * span / 1000))
end
