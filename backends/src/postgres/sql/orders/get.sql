-- Orders with their lines, their live payment and their history, in the order of asking; and the time.
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
    ARRAY(SELECT sku FROM order_line WHERE order_id = orders.id ORDER BY sku, place),
    ARRAY(SELECT quantity FROM order_line WHERE order_id = orders.id ORDER BY sku, place),
    ARRAY(SELECT amount FROM order_line WHERE order_id = orders.id ORDER BY sku, place),
    ARRAY(SELECT state FROM order_history WHERE order_id = orders.id ORDER BY version),
    ARRAY(SELECT at FROM order_history WHERE order_id = orders.id ORDER BY version),
    ARRAY(SELECT reason FROM order_history WHERE order_id = orders.id ORDER BY version),
    ledger_now(),
    (SELECT name FROM shop_order WHERE order_id = orders.id),
    (SELECT link FROM shop_order WHERE order_id = orders.id),
    ARRAY(SELECT refunded FROM order_line WHERE order_id = orders.id ORDER BY sku, place),
    ARRAY(SELECT from_stop FROM order_line WHERE order_id = orders.id ORDER BY sku, place),
    ARRAY(SELECT to_stop FROM order_line WHERE order_id = orders.id ORDER BY sku, place),
    ARRAY(SELECT seat_no FROM order_line WHERE order_id = orders.id ORDER BY sku, place),
    ARRAY(SELECT seat FROM order_line WHERE order_id = orders.id ORDER BY sku, place),
    orders.reach
FROM unnest($1::uuid[]) WITH ORDINALITY AS asked (id, place)
JOIN orders ON orders.id = asked.id
ORDER BY asked.place
