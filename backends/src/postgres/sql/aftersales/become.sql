-- An order takes another hold, and with it perhaps another price and other goods.
UPDATE orders
SET state = $3, version = version + 1, changed_at = $4, history = history || $5::text, hold = $6, amount = $7, units = $8,
    lines = $9::json
WHERE id = $1 AND version = $2
