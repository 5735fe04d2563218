INSERT INTO shop_order (order_id, name, link) VALUES ($1, $2, $3)
