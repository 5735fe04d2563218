DELETE FROM seat_leg WHERE order_id = ?1 AND hold = ?2
