INSERT INTO order_change (order_id, hold, amount) VALUES ($1, $2, $3)
