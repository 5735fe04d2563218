SELECT sku, quantity, amount FROM order_change_line WHERE order_id = ?1 ORDER BY sku
