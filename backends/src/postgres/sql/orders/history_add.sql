INSERT INTO order_history (order_id, version, state, at, reason) VALUES ($1, $2, $3, $4, $5)
