-- Live holds: of orders that are not paid, and of what orders are being changed to; each as the text of a basket.
SELECT
    orders.hold,
    movement.id,
    (
        SELECT group_concat(
            order_line.sku || ':' || iif(
                order_line.to_stop IS NULL,
                order_line.quantity,
                (order_line.quantity * (order_line.to_stop - order_line.from_stop))
                    || '@' || order_line.quantity || '/' || order_line.from_stop || '-' || order_line.to_stop
                    || coalesce('=' || order_line.seat_no, '')
            ),
            ',' ORDER BY order_line.sku, order_line.place
        )
        FROM order_line WHERE order_line.order_id = orders.id
    )
FROM orders
JOIN movement ON movement.hold = orders.hold AND movement.kind = 'held'
WHERE orders.sale = ?1 AND orders.state IN ('awaiting_payment', 'closing')
UNION ALL
SELECT
    order_change.hold,
    movement.id,
    order_change.basket
FROM orders
JOIN order_change ON order_change.order_id = orders.id
JOIN movement ON movement.hold = order_change.hold AND movement.kind = 'held'
WHERE orders.sale = ?1 AND orders.state = 'changing'
ORDER BY 2
