-- Notes that somebody held these places. KEYS: line. ARGV: when, entries.
if not is_warm() then
  return cold()
end
local fields = {}
for n = 2, #ARGV do
  fields[n - 1] = 'p' .. ARGV[n]
end
fetch(line, fields)
for n = 2, #ARGV do
  see(ARGV[n], tonumber(ARGV[1]))
end
even_when_full()
write(line)
return 'OK'
