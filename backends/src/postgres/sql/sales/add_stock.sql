UPDATE stock SET total = total + $3, available = available + $3 WHERE sale = $1 AND sku = $2
