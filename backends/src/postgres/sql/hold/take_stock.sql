UPDATE stock SET available = available - $3, held = held + $3 WHERE sale = $1 AND sku = $2
