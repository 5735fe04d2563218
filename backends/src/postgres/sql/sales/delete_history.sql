DELETE FROM order_history USING orders WHERE orders.sale = $1 AND order_history.order_id = orders.id
