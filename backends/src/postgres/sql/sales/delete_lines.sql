DELETE FROM order_line USING orders WHERE orders.sale = $1 AND order_line.order_id = orders.id
