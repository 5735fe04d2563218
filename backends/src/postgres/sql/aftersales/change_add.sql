INSERT INTO order_change (order_id, hold, amount, basket) VALUES ($1, $2, $3, $4)
