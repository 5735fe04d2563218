SELECT sku, total, available, owed, held, sold FROM stock WHERE sale = $1 ORDER BY sku
