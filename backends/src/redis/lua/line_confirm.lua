-- Notes that the waiting queue has confirmed these entries. KEYS: line. ARGV: entries.
if not is_warm() then
  return cold()
end
local fields = {}
for n, entry in ipairs(ARGV) do
  fields[n] = 'p' .. entry
end
fetch(line, fields)
for _, field in ipairs(fields) do
  local place = line.known[field]
  if place and string.sub(place, 4, 4) ~= '1' then
    put(line, field, with(place, 4, '1'))
  end
end
even_when_full()
write(line)
return 'OK'
