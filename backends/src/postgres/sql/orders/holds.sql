-- Live holds and what they hold, oldest first: of orders that are not paid, and of what orders are being changed to.
SELECT
    orders.hold,
    movement.number,
    string_agg(order_line.sku || ':' || order_line.quantity, ',' ORDER BY order_line.sku)
FROM orders
JOIN movement ON movement.hold = orders.hold AND movement.kind = 'held'
JOIN order_line ON order_line.order_id = orders.id
WHERE orders.sale = $1 AND orders.state IN ('awaiting_payment', 'closing')
GROUP BY orders.hold, movement.number
UNION ALL
SELECT
    order_change.hold,
    movement.number,
    string_agg(line.sku || ':' || line.quantity, ',' ORDER BY line.sku)
FROM orders
JOIN order_change ON order_change.order_id = orders.id
JOIN movement ON movement.hold = order_change.hold AND movement.kind = 'held'
JOIN order_change_line AS line ON line.order_id = orders.id
WHERE orders.sale = $1 AND orders.state = 'changing'
GROUP BY order_change.hold, movement.number
ORDER BY 2
