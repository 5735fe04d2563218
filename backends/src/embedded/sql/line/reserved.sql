-- Those with a live order.
SELECT
    outcome.entry, outcome.buyer, outcome.seq, outcome.holes_below,
    (
        SELECT group_concat(order_line.sku || ':' || order_line.quantity, ',' ORDER BY order_line.sku)
        FROM order_line WHERE order_line.order_id = orders.id
    ),
    outcome.joined_at, NULL
FROM orders
JOIN outcome ON outcome.entry = orders.entry
WHERE orders.sale = ?1
    AND orders.state NOT IN ('closed', 'refunded')
ORDER BY outcome.number
