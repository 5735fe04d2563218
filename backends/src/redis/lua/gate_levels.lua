-- Four for each SKU: SKU, available, held, in flight. KEYS: gate, line.
if not is_warm() then
  return cold()
end
local flight = open(KEYS[2])
local line_is_warm = redis.call('HGET', KEYS[2], '.server') == server()
local levels = {}
for sku in string.gmatch(about.skus, '[^,]+') do
  levels[#levels + 1] = sku
  levels[#levels + 1] = available(sku)
  levels[#levels + 1] = units('u', sku)
  levels[#levels + 1] = line_is_warm and tonumber(look(flight, 'f' .. sku) or 0) or 0
end
return levels
