SELECT
    orders.hold,
    movement.id,
    (
        SELECT group_concat(order_line.sku || ':' || order_line.quantity, ',' ORDER BY order_line.sku)
        FROM order_line WHERE order_line.order_id = orders.id
    )
FROM orders
JOIN movement ON movement.hold = orders.hold AND movement.kind = 'held'
WHERE orders.sale = ?1 AND orders.state IN ('awaiting_payment', 'closing')
ORDER BY movement.id
