-- Orders with their live payment, in the order of asking; and the time.
SELECT
    orders.id, orders.sale, orders.entry, orders.buyer, orders.hold, orders.state, orders.version,
    orders.closing_cause, orders.amount, orders.currency, orders.pay_by,
    (
        -- The one that paid, else the one that is awaited. Money that came and went before the order was paid is neither.
        SELECT payment.id FROM payment
        WHERE payment.order_id = orders.id AND NOT payment.surplus
            AND payment.state IN ('pending', 'succeeded', 'refunded')
            AND (payment.state <> 'refunded' OR orders.state <> 'awaiting_payment')
        ORDER BY CASE payment.state WHEN 'succeeded' THEN 0 WHEN 'refunded' THEN 1 ELSE 2 END, payment.id DESC
        LIMIT 1
    ),
    orders.lines::text, orders.history, orders.reach, shop_order.name, shop_order.link, ledger_now()
FROM unnest($1::uuid[]) WITH ORDINALITY AS asked (id, place)
JOIN orders ON orders.id = asked.id
LEFT JOIN shop_order ON shop_order.order_id = orders.id
ORDER BY asked.place
