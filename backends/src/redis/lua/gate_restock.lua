-- Raises the stock of a SKU to what the ledger has in all. Of seats that came back: a reading of the ledger, its last movement
-- and the letters of the seats that are still sold. KEYS: gate, words heard. ARGV: SKU, total, then movement and letters.
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
local moved, letters = tonumber(ARGV[3] or -1), ARGV[4]
if moved >= about.moved and seating_of(gate, sku) then
  free_unsold(gate, sku, letters, sold_after(KEYS[2], sku, moved))
end
write_gate()
return 'OK'
