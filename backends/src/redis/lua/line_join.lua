-- Gives each buyer a place or finds theirs. KEYS: line, settled places, strangers, limits, limits before.
-- ARGV: most in line, most standing by, most settled places; then five for each join: the entry, its body, what its token
-- proves or nothing (an entry, its number, the holes below it and its body), its limits or nothing, and `B` if it asks to
-- stand by.
if not is_warm() then
  return cold()
end
local cap, standby_cap, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local over, strangers = order(KEYS[2]), order(KEYS[3])

local buyers, places, cells = {}, {}, {}
for at = 4, #ARGV, 5 do
  local buyer = buyer_in(ARGV[at + 1])
  buyers[#buyers + 1] = buyer
  cells[#cells + 1] = cells_of(ARGV[at + 3], buyer)
end
fetch(line, buyers)
read_cells(cells)
for _, buyer in ipairs(buyers) do
  if line.known[buyer] then
    places[#places + 1] = 'p' .. line.known[buyer]
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

local function join(entry, buyer, body, wish)
  local known = look(line, buyer)
  if known and look(line, 'p' .. known) then
    see(known, (struct.unpack('>i8', body)))
    return found(known)
  end
  local full = about.last - holes_upto(about.last) - about.rank >= cap
  if full and about.standby >= standby_cap then
    return 'L'
  end
  if full or wish == 'B' and about.standby < standby_cap then
    register(entry, open_place('0', string.sub(body, 1, 8), NO_NUMBER .. body))
    return 'B'
  end
  if about.last >= about.high_water then
    return 'O'
  end
  about.last = about.last + 1
  local numbers = struct.pack('>I8I8', about.last, holes_upto(about.last))
  put(line, buyer, entry)
  put(line, 'p' .. entry, open_place('0', string.sub(body, 1, 8), numbers .. body))
  return 'N' .. numbers
end

-- A join that counts, unless the line has no number for it: then it is asked again at once, and must not pay for that.
local function counted_join(entry, buyer, body, proven, its_cells, wish)
  local at = (struct.unpack('>i8', body))
  local refused = refusal(its_cells)
  if refused then
    local known = look(line, buyer)
    if known then
      see(known, at)
    end
    return refused
  end
  local reply = proven ~= '' and prove(proven, at) or join(entry, buyer, body, wish)
  if reply ~= 'O' then
    count(its_cells)
  end
  return reply
end

local replies, last, standby = {}, about.last, about.standby
for n, buyer in ipairs(buyers) do
  local entry, body, proven, wish = ARGV[5 * n - 1], ARGV[5 * n], ARGV[5 * n + 1], ARGV[5 * n + 3]
  if look(line, buyer) == entry then
    replies[n] = join(entry, buyer, body, wish) -- The very same join once more.
  else
    replies[n] = counted_join(entry, buyer, body, proven, cells[n], wish)
  end
end
if about.last ~= last then
  put(line, '.last', about.last)
end
if about.standby ~= standby then
  put(line, '.standby', about.standby)
end
write(line)
forget_oldest(over, strangers, most)
write(line)
write_cells()
return replies
