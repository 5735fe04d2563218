INSERT INTO order_history (order_id, version, state, at, reason)
SELECT order_id, 1, $1, $2, $3 FROM unnest($4::uuid[]) AS new (order_id)
