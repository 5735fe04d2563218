UPDATE order_line SET refunded = refunded + ?3 WHERE order_id = ?1 AND sku = ?2 AND seat_no IS ?4 AND from_stop IS ?5
