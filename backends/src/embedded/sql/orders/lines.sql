SELECT sku, quantity, amount, refunded FROM order_line WHERE order_id = ?1 ORDER BY sku
