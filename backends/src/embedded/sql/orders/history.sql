SELECT state, at, reason FROM order_history WHERE order_id = ?1 ORDER BY version
