-- They are the shop's again: it says itself what is left.
UPDATE stock SET total = total - $3, held = held - $3 WHERE sale = $1 AND sku = $2
