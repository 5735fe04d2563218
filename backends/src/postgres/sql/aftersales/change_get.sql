SELECT hold, amount, basket FROM order_change WHERE order_id = $1
