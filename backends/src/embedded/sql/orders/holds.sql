-- Live holds: of orders that are not paid, and of what orders are being changed to.
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
UNION ALL
SELECT
    order_change.hold,
    movement.id,
    (
        SELECT group_concat(line.sku || ':' || line.quantity, ',' ORDER BY line.sku)
        FROM order_change_line AS line WHERE line.order_id = orders.id
    )
FROM orders
JOIN order_change ON order_change.order_id = orders.id
JOIN movement ON movement.hold = order_change.hold AND movement.kind = 'held'
WHERE orders.sale = ?1 AND orders.state = 'changing'
ORDER BY 2
