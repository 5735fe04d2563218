DELETE FROM order_line WHERE order_id = $1
