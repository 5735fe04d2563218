-- Records outcomes. KEYS: line, settled places, strangers.
-- ARGV: most settled places; then two for each: the entry, and its outcome and whether it is live.
if not is_warm() then
  return cold()
end
local over, strangers = order(KEYS[2]), order(KEYS[3])
local fields = {}
for at = 2, #ARGV, 2 do
  fields[#fields + 1] = 'p' .. ARGV[at]
end
fetch(line, fields)
local unknown = {}
for n, field in ipairs(fields) do
  if not look(line, field) then
    unknown[#unknown + 1] = 's' .. ARGV[2 * n]
  end
end
fetch(line, unknown)
for at = 2, #ARGV, 2 do
  settle(ARGV[at], ARGV[at + 1], over, strangers)
end
even_when_full()
write_counts()
write(line)
forget_oldest(over, strangers, tonumber(ARGV[1]))
write(line)
return 'OK'
