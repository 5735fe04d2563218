-- These wait no longer, they stand by. KEYS: line. ARGV: entries.
if not is_warm() then
  return cold()
end
local fields = {}
for n, entry in ipairs(ARGV) do
  fields[n] = 'p' .. entry
end
fetch(line, fields)
for _, field in ipairs(fields) do
  local place = look(line, field)
  if place and string.sub(place, 1, 1) == 'W' then
    put(line, field, with(place, 1, 'B'))
    about.standby = about.standby + 1
  end
end
even_when_full()
write_counts()
write(line)
return 'OK'
