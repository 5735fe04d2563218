-- Gives each buyer a place or finds theirs. KEYS: line, settled places, strangers.
-- ARGV: cap, most settled places; then three for each join: the entry, its body, and what its token proves or nothing:
-- an entry, its number, the holes below it and its body.
-- Limits that buyers and devices share across nodes would be checked here, before anything is given.
if not is_warm() then
  return cold()
end
local cap, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local over, strangers = order(KEYS[2]), order(KEYS[3])

local buyers, places = {}, {}
for at = 3, #ARGV, 3 do
  buyers[#buyers + 1] = buyer_in(ARGV[at + 1])
end
fetch(line, buyers)
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
    register(entry, waiting_place('0', struct.pack('>i8', at), numbered))
    if settled then
      settle(entry, settled, over, strangers)
    end
  end
  see(entry, at)
  return is_live(look(line, 'p' .. entry)) and found(entry) or nil
end

local function join(entry, buyer, body)
  local known = look(line, buyer)
  if known and look(line, 'p' .. known) then
    see(known, (struct.unpack('>i8', body)))
    return found(known)
  end
  if about.last - holes_upto(about.last) - about.rank >= cap then
    return 'L'
  end
  if about.last >= about.high_water then
    return 'O'
  end
  about.last = about.last + 1
  local numbers = struct.pack('>I8I8', about.last, holes_upto(about.last))
  put(line, buyer, entry)
  put(line, 'p' .. entry, waiting_place('0', string.sub(body, 1, 8), numbers .. body))
  return 'N' .. numbers
end

local replies, last = {}, about.last
for n, buyer in ipairs(buyers) do
  local entry, body, proven = ARGV[3 * n], ARGV[3 * n + 1], ARGV[3 * n + 2]
  local reply = proven ~= '' and prove(proven, (struct.unpack('>i8', body)))
  replies[n] = reply or join(entry, buyer, body)
end
if about.last ~= last then
  put(line, '.last', about.last)
end
write(line)
forget_oldest(over, strangers, most)
write(line)
return replies
