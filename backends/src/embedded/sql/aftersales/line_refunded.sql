UPDATE order_line SET refunded = refunded + ?3 WHERE order_id = ?1 AND sku = ?2
