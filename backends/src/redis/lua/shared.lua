-- What every script begins with: who runs it, and hashes that are read and written through a memory of the call.

-- What a script wrote is replicated as it was written, never run again elsewhere. Always so from Redis 7 on.
redis.replicate_commands()

-- Most fields in one command: Lua's stack is limited.
local CHUNK = 1000

-- What the server tells of itself under a name: 40 characters in a section of INFO.
local function told(section, name)
  local info = redis.call('INFO', section)
  local _, at = string.find(info, name, 1, true)
  return string.sub(info, at + 1, at + 40)
end

-- How what is kept is laid out. To be raised with every change that a script of before would misread.
local LAYOUT = '5'

-- Whose memory this is: the process that runs the script, and the history of its data. A restart, another server or a
-- failover changes one of them, and what was answered under the old pair may be gone.
local here
local function server()
  here = here or LAYOUT .. ':' .. told('server', 'run_id:') .. ':' .. told('replication', 'master_replid:')
  return here
end

local function cold()
  return redis.error_reply('COLD the sale is not warm here')
end

local function fenced()
  return redis.error_reply('FENCED a higher epoch speaks for the sale')
end

-- A server at its memory limit refuses a script's first write only. Scripts that carry on with what was taken in before
-- begin with a write of nothing, so that only joins are refused.
local function even_when_full()
  redis.call('HDEL', KEYS[1], '')
end

local function open(key)
  return { key = key, known = {}, changed = {} }
end

local function look(hash, field)
  local value = hash.known[field]
  if value == nil then
    value = redis.call('HGET', hash.key, field)
    hash.known[field] = value
  end
  return value
end

-- Reads many fields at once, for look() to find.
local function fetch(hash, fields)
  for first = 1, #fields, CHUNK do
    local last = math.min(first + CHUNK - 1, #fields)
    local values = redis.call('HMGET', hash.key, unpack(fields, first, last))
    for n = first, last do
      hash.known[fields[n]] = values[n - first + 1]
    end
  end
end

local function put(hash, field, value)
  hash.known[field] = value
  hash.changed[field] = true
end

local function drop(hash, field)
  put(hash, field, false)
end

local function in_chunks(command, key, arguments)
  for first = 1, #arguments, CHUNK do
    redis.call(command, key, unpack(arguments, first, math.min(first + CHUNK - 1, #arguments)))
  end
end

-- Writes what was put and dropped. CHUNK is even, so that no pair is torn.
local function write(hash)
  local pairs_put, dropped = {}, {}
  for field in pairs(hash.changed) do
    local value = hash.known[field]
    if value then
      pairs_put[#pairs_put + 1] = field
      pairs_put[#pairs_put + 1] = value
    else
      dropped[#dropped + 1] = field
    end
  end
  in_chunks('HSET', hash.key, pairs_put)
  in_chunks('HDEL', hash.key, dropped)
  hash.changed = {}
end

-- What a basket is made of, each item as { sku, units, what is said of seats }. Of many baskets in one call few differ.
local known_items = {}
local function items_of(basket)
  local items = known_items[basket]
  if not items then
    items = {}
    for sku, units, seated in string.gmatch(basket, '([^:,]+):(%d+)([^,]*)') do
      items[#items + 1] = { sku = sku, units = tonumber(units), seated = seated }
    end
    known_items[basket] = items
  end
  return items
end

-- The order in which things came, for forgetting the oldest first.
local function order(key)
  return { key = key, new = {} }
end

local function remember(list, member)
  list.new[#list.new + 1] = member
end

-- Appends what was remembered and calls `forget` with each member beyond the most, oldest first.
local function trim(list, most, forget)
  if #list.new == 0 then
    return
  end
  local surplus = redis.call('LLEN', list.key) + #list.new - most
  if surplus > 0 then
    local oldest = redis.call('LPOP', list.key, surplus)
    for _, member in ipairs(oldest or {}) do
      forget(member)
    end
    for _ = 1, surplus - #(oldest or {}) do
      forget(table.remove(list.new, 1))
    end
  end
  in_chunks('RPUSH', list.key, list.new)
end
