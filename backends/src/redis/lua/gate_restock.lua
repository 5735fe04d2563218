-- Raises the stock of a SKU to what the ledger has in all. KEYS: gate. ARGV: SKU, total.
if not is_warm() then
  return cold()
end
even_when_full()
local sku, total = ARGV[1], look(gate, 't' .. ARGV[1])
if not total then
  put(gate, '.skus', about.skus == '' and sku or about.skus .. ',' .. sku)
  put(gate, 'u' .. sku, 0)
  put(gate, 'v' .. sku, 0)
end
put(gate, 't' .. sku, math.max(tonumber(total or 0), tonumber(ARGV[2])))
write(gate)
return 'OK'
