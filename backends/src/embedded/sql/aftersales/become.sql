-- An order takes another hold, and with it perhaps another price and other goods.
UPDATE orders
SET state = ?3, version = version + 1, changed_at = ?4, hold = ?5, amount = ?6, units = ?7
WHERE id = ?1 AND version = ?2
