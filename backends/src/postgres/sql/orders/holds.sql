-- Live holds and what they hold, oldest first.
SELECT
    orders.hold,
    movement.number,
    string_agg(order_line.sku || ':' || order_line.quantity, ',' ORDER BY order_line.sku)
FROM orders
JOIN movement ON movement.hold = orders.hold AND movement.kind = 'held'
JOIN order_line ON order_line.order_id = orders.id
WHERE orders.sale = $1 AND orders.state IN ('awaiting_payment', 'closing')
GROUP BY orders.hold, movement.number
ORDER BY movement.number
