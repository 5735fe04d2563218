INSERT INTO order_change_line (order_id, sku, quantity, amount) VALUES (?1, ?2, ?3, ?4)
