-- Live holds and what they hold, each as the text of a basket, oldest first: of orders that are not paid, and of what orders
-- are being changed to.
SELECT
    orders.hold,
    movement.number,
    (
        SELECT string_agg(
            line.sku || ':' || CASE
                WHEN line."to" IS NULL THEN line.quantity::text
                ELSE (line.quantity * (line."to" - line."from"))
                    || '@' || line.quantity || '/' || line."from" || '-' || line."to"
                    || coalesce('=' || line.seat_no, '')
            END,
            ',' ORDER BY line.place
        )
        FROM ROWS FROM (
            json_to_recordset(orders.lines) AS (sku text, quantity integer, "from" integer, "to" integer, seat_no integer)
        ) WITH ORDINALITY AS line (sku, quantity, "from", "to", seat_no, place)
    )
FROM orders
JOIN movement ON movement.hold = orders.hold AND movement.kind = 'held'
WHERE orders.sale = $1 AND orders.state IN ('awaiting_payment', 'closing')
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
