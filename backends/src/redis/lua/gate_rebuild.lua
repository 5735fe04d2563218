-- Replaces what the gate knows by the ledger's reading, which may come in several parts; between the first and the last
-- the gate is cold. Words that were heard and that this reading has not seen stand above it.
-- KEYS: gate, holds that are over, words heard.
-- ARGV: epoch, a name for this rebuild, first|more, last|more, most holds over; in the first part the last movement seen,
-- the number of SKUs and three for each: SKU, total, sold, then the number of seated ones and four for each: SKU, legs,
-- who is whose neighbour, the letters of the seats; then three for each hold: the hold, its movement, its basket.
-- Answers whether holds of an older generation may be left to sweep.
local epoch, name = tonumber(ARGV[1]), ARGV[2]
is_warm()
-- A memory that is not to be trusted any more still tells the highest epoch it had heard of.
if epoch < about.epoch then
  return fenced()
end
even_when_full()
local at = 6
if ARGV[3] == 'first' then
  if not about.known then
    redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3])
    gate, about.generation, about.skus = open(KEYS[1]), 0, ''
  end
  for sku in string.gmatch(about.skus, '[^,]+') do
    for column in string.gmatch('tuvlbmx', '.') do
      drop(gate, column .. sku)
    end
  end
  about.generation, about.moved = about.generation + 1, tonumber(ARGV[6])
  at = at + 1
  local skus = {}
  for _ = 1, tonumber(ARGV[7]) do
    local sku = ARGV[at + 1]
    skus[#skus + 1] = sku
    put(gate, 't' .. sku, tonumber(ARGV[at + 2]))
    put(gate, 'u' .. sku, 0)
    put(gate, 'v' .. sku, tonumber(ARGV[at + 3]))
    at = at + 3
  end
  for seated = at + 2, at + 1 + 4 * tonumber(ARGV[at + 1]), 4 do
    put(gate, 'l' .. ARGV[seated], ARGV[seated + 1])
    put(gate, 'b' .. ARGV[seated], ARGV[seated + 2])
    put(gate, 'm' .. ARGV[seated], ARGV[seated + 3])
  end
  at = at + 2 + 4 * tonumber(ARGV[at + 1])
  put(gate, '.skus', table.concat(skus, ','))
  put(gate, '.generation', about.generation)
  put(gate, '.moved', about.moved)
  put(gate, '.epoch', epoch)
  put(gate, '.server', server())
  put(gate, '.building', name)
elseif not about.known or about.building ~= name then
  return cold()
end

local over = order(KEYS[2])
for n = at, #ARGV, 3 do
  local id, movement = ARGV[n], tonumber(ARGV[n + 1])
  local record = look(gate, 'h' .. id)
  local known = record and read_hold(record)
  if known and known.lapsed and known.movement > movement then
    place(id, known.phase, COUNTED_AS[known.phase], known.movement, known.basket, over)
  elseif not known or known.lapsed then
    place(id, 'H', 'h', movement, ARGV[n + 2], over)
  end
end
if ARGV[4] == 'last' then
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], string.format('(%d', about.moved), '+inf')) do
    local record = look(gate, 'h' .. id)
    local known = record and read_hold(record)
    if known and known.lapsed then
      place(id, known.phase, COUNTED_AS[known.phase], known.movement, known.basket, over)
    end
  end
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', about.moved)
  drop(gate, '.building')
end
forget_oldest(over, tonumber(ARGV[5]))
write_gate()
return about.generation > 1 and 1 or 0
