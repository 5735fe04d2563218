DELETE FROM seat_leg WHERE order_id = ?1 AND sku = ?2 AND seat = ?3 AND leg >= ?4 AND leg < ?5
