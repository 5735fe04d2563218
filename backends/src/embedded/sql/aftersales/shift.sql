-- Moves units between the columns of a balance.
UPDATE stock
SET available = available + ?3, held = held + ?4, sold = sold + ?5, returned = returned + ?6
WHERE sale = ?1 AND sku = ?2
