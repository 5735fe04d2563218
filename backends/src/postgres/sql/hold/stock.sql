SELECT sku, available FROM stock WHERE sale = $1 AND sku = ANY($2)
