-- Calls entries, in order. KEYS: line, worked entries.
-- ARGV: epoch, the limit of silence or nothing; then two for each: the entry, and its number, holes below it and body.
if not is_warm() then
  return cold()
end
if tonumber(ARGV[1]) < about.epoch then
  return fenced()
end
local silent_before = tonumber(ARGV[2])
local worked = open(KEYS[2])

local fields, buyers, entries = {}, {}, {}
for at = 3, #ARGV, 2 do
  fields[#fields + 1] = 'p' .. ARGV[at]
  fields[#fields + 1] = 's' .. ARGV[at]
  buyers[#buyers + 1] = buyer_in(string.sub(ARGV[at + 1], 17))
  entries[#entries + 1] = ARGV[at]
end
fetch(line, fields)
fetch(line, buyers)
fetch(worked, entries)

-- What it wants is in flight, whatever became of its last offer. It goes on standing by.
local function offer(entry)
  local place = look(line, 'p' .. entry)
  if string.sub(place, 1, 1) == 'W' then
    place = with(place, 1, 'B')
    about.standby = about.standby + 1
  end
  if string.sub(place, 5, 5) ~= 'y' then
    place = with(place, 5, 'y')
    fly(line, basket_of(place), 1)
  end
  put(line, 'p' .. entry, place)
  return 'C'
end

local function call(entry, numbered)
  local place = look(line, 'p' .. entry)
  local state = place and string.sub(place, 1, 1) or 'W'
  if state == 'S' then
    return string.sub(place, 1, 3)
  elseif state == 'C' then
    return 'C'
  end
  local settled = look(line, 's' .. entry)
  if settled then
    return 'S' .. settled
  end
  local twin = lower_of(buyer_in(string.sub(numbered, 17)), entry, (struct.unpack('>I8', numbered)))
  if twin then
    return 'T' .. twin
  end
  if not place then
    register(entry, open_place('1', string.sub(numbered, 17, 24), numbered))
    if look(worked, entry) then
      work(line, entry)
    end
    place = look(line, 'p' .. entry)
  end
  if state == 'B' or string.sub(numbered, 1, 16) == NO_NUMBER then
    return offer(entry)
  end
  if silent_before and struct.unpack('>i8', place, 6) < silent_before then
    return 'Q' .. string.sub(place, 6, 13)
  end
  about.called = about.called + 1
  place = with(place, 1, 'C')
  if string.sub(place, 5, 5) == 'n' then
    place = with(place, 5, 'y')
    fly(line, basket_of(place), 1)
  end
  put(line, 'p' .. entry, place)
  return 'C'
end

local standings = {}
for at = 3, #ARGV, 2 do
  standings[#standings + 1] = call(ARGV[at], ARGV[at + 1])
end
even_when_full()
write_counts()
write(line)
return standings
