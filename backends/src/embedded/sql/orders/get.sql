SELECT
    sale, entry, buyer, hold, state, version, closing_cause, amount, currency, pay_by,
    (
        -- The one that paid, else the one that is awaited.
        SELECT payment.id FROM payment
        WHERE payment.order_id = orders.id AND payment.surplus = 0
            AND payment.state IN ('pending', 'succeeded', 'refunded')
        ORDER BY payment.state = 'pending'
        LIMIT 1
    ),
    (SELECT name FROM shop_order WHERE order_id = orders.id),
    (SELECT link FROM shop_order WHERE order_id = orders.id)
FROM orders
WHERE id = ?1
