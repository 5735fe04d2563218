-- Live holds and what they hold, each as the text of a basket, oldest first: of orders that are not paid, and of what orders
-- are being changed to.
SELECT
    orders.hold,
    movement.number,
    string_agg(
        order_line.sku || ':' || CASE
            WHEN order_line.to_stop IS NULL THEN order_line.quantity::text
            ELSE (order_line.quantity * (order_line.to_stop - order_line.from_stop))
                || '@' || order_line.quantity || '/' || order_line.from_stop || '-' || order_line.to_stop
                || coalesce('=' || order_line.seat_no, '')
        END,
        ',' ORDER BY order_line.sku, order_line.place
    )
FROM orders
JOIN movement ON movement.hold = orders.hold AND movement.kind = 'held'
JOIN order_line ON order_line.order_id = orders.id
WHERE orders.sale = $1 AND orders.state IN ('awaiting_payment', 'closing')
GROUP BY orders.hold, movement.number
UNION ALL
SELECT
    order_change.hold,
    movement.number,
    order_change.basket
FROM orders
JOIN order_change ON order_change.order_id = orders.id
JOIN movement ON movement.hold = order_change.hold AND movement.kind = 'held'
WHERE orders.sale = $1 AND orders.state = 'changing'
ORDER BY 2
