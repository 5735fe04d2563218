SELECT hold, amount FROM order_change WHERE order_id = ?1
