-- No row changes when others were faster and it is not there any more.
UPDATE stock SET available = available - $3, held = held + $3
WHERE sale = $1 AND sku = $2 AND available >= $3
