-- Moves units between the columns of a balance. No row changes when others were faster and they are not there any more.
UPDATE stock
SET available = available + $3, held = held + $4, sold = sold + $5, returned = returned + $6
WHERE sale = $1 AND sku = $2 AND available + $3 >= 0
