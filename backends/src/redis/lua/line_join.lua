-- Gives each buyer a place or finds theirs. KEYS: line, settled places, strangers, limits, limits before.
-- ARGV: most in line, most standing by, most settled places; then six for each join: the field of its buyer, the field of its
-- place, its body, what its token proves or nothing (an entry, its number, the holes below it and its body), its limits or
-- nothing, and `B` if it asks to stand by.
if not is_warm() then
  return cold()
end
local cap, standby_cap, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local over, strangers = order(KEYS[2]), order(KEYS[3])
local last, standby = about.last, about.standby

local buyers, joins, known = {}, (#ARGV - 3) / 6, line.known
for n = 1, joins do
  local buyer = ARGV[6 * n - 2]
  buyers[n] = buyer
  will_count(n, ARGV[6 * n + 2], buyer)
end
fetch(line, buyers)
read_cells()
local places = {}
for n = 1, joins do
  local entry = known[buyers[n]]
  if entry then
    places[#places + 1] = 'p' .. entry
  end
end
fetch(line, places)

local function found(entry)
  return 'F' .. entry .. look(line, 'p' .. entry)
end

-- The place a token proves: as it is known, or registered again. Nil when its buyer is free of it.
local function prove(proven, at)
  local entry, numbered = string.sub(proven, 1, 16), string.sub(proven, 17)
  if not look(line, 'p' .. entry) then
    local settled = look(line, 's' .. entry)
    if settled and string.sub(settled, 2, 2) ~= '1' then
      return nil
    end
    about.last = math.max(about.last, (struct.unpack('>I8', numbered, 1)))
    register(entry, open_place('0', struct.pack('>i8', at), numbered))
    if settled then
      settle(entry, settled, over, strangers)
    end
  end
  see(entry, at)
  return is_live(look(line, 'p' .. entry)) and found(entry) or nil
end

-- New places: a crowd's, written past the memory of what changed, which would cost as much again.
local new, count_new, pack, sub = {}, 0, struct.pack, string.sub
local function join(buyer, place, body, wish)
  local entry = known[buyer]
  if entry and look(line, 'p' .. entry) then
    see(entry, (struct.unpack('>i8', body)))
    return found(entry)
  end
  local full = about.last - holes_upto(about.last) - about.rank >= cap
  if full and about.standby >= standby_cap then
    return 'L'
  end
  entry = sub(place, 2)
  if full or wish == 'B' and about.standby < standby_cap then
    register(entry, open_place('0', sub(body, 1, 8), NO_NUMBER .. body))
    return 'B'
  end
  if about.last >= about.high_water then
    return 'O'
  end
  about.last = about.last + 1
  local numbers = pack('>I8I8', about.last, holes_upto(about.last))
  local written = 'W-10n' .. sub(body, 1, 8) .. numbers .. body
  known[buyer], known[place] = entry, written
  new[count_new + 1], new[count_new + 2], new[count_new + 3], new[count_new + 4] = buyer, entry, place, written
  count_new = count_new + 4
  return 'N' .. numbers
end

-- A join that counts, unless the line has no number for it: then it is asked again at once, and must not pay for that.
local function counted_join(n, buyer, place, body, proven, wish)
  local refused = refusal(n)
  if refused then
    local entry = known[buyer]
    if entry then
      see(entry, (struct.unpack('>i8', body)))
    end
    return refused
  end
  local reply = proven ~= '' and prove(proven, (struct.unpack('>i8', body))) or join(buyer, place, body, wish)
  if reply ~= 'O' then
    count(n)
  end
  return reply
end

local replies = {}
for n = 1, joins do
  local at = 6 * n - 2
  local buyer, place, body, proven, wish = buyers[n], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 5]
  local entry = known[buyer]
  if entry and entry == sub(place, 2) then
    replies[n] = join(buyer, place, body, wish) -- The very same join once more.
  else
    replies[n] = counted_join(n, buyer, place, body, proven, wish)
  end
end
if about.last ~= last then
  put(line, '.last', about.last)
end
if about.standby ~= standby then
  put(line, '.standby', about.standby)
end
in_chunks('HSET', line.key, new)
write(line)
forget_oldest(over, strangers, most)
write(line)
write_cells()
return replies
