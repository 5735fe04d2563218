SELECT
    sale, entry, buyer, hold, state, version, closing_cause, amount, currency, pay_by,
    (
        -- The one that paid, else the one that is awaited. Money that came and went before the order was paid is neither.
        SELECT payment.id FROM payment
        WHERE payment.order_id = orders.id AND payment.surplus = 0
            AND payment.state IN ('pending', 'succeeded', 'refunded')
            AND (payment.state <> 'refunded' OR orders.state <> 'awaiting_payment')
        ORDER BY CASE payment.state WHEN 'succeeded' THEN 0 WHEN 'refunded' THEN 1 ELSE 2 END, payment.id DESC
        LIMIT 1
    ),
    (SELECT name FROM shop_order WHERE order_id = orders.id),
    (SELECT link FROM shop_order WHERE order_id = orders.id),
    reach
FROM orders
WHERE id = ?1
