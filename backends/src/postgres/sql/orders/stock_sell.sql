UPDATE stock SET held = held - $3, sold = sold + $3 WHERE sale = $1 AND sku = $2
