-- The live place of a buyer: the entry and the place, or nothing. KEYS: line. ARGV: buyer.
if not is_warm() then
  return cold()
end
local entry = look(line, 'b' .. ARGV[1])
local place = entry and look(line, 'p' .. entry)
return place and { entry, place } or {}
