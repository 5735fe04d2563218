UPDATE stock SET held = held - $3, available = available + $3 WHERE sale = $1 AND sku = $2
