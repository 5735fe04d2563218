SELECT sku, total, available, owed, held, sold, returned FROM stock WHERE sale = ?1 ORDER BY sku
