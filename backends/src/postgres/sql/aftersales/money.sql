-- Each part is summed by itself: payments, orders by their lines, refunds. What the shop's own backend made is paid there.
SELECT currency, sum(taken)::bigint, sum(kept)::bigint, sum(refunded)::bigint, sum(in_flight)::bigint
FROM (
    SELECT payment.currency, payment.amount AS taken, 0::bigint AS kept, 0::bigint AS refunded, 0::bigint AS in_flight
    FROM payment JOIN orders ON orders.id = payment.order_id
    WHERE orders.sale = $1 AND payment.state IN ('succeeded', 'refunded')
    UNION ALL
    SELECT orders.currency, 0, (line.quantity - coalesce(line.refunded, 0)) * line.amount, 0, 0
    FROM orders CROSS JOIN json_to_recordset(orders.lines) AS line (quantity bigint, refunded bigint, amount bigint)
    WHERE orders.sale = $1 AND orders.state IN ('paid', 'fulfilling', 'fulfilled', 'failed', 'changing')
        AND NOT EXISTS (SELECT 1 FROM shop_order WHERE shop_order.order_id = orders.id)
    UNION ALL
    SELECT
        refund.currency, 0, 0,
        CASE refund.state WHEN 'done' THEN refund.amount ELSE 0 END,
        CASE refund.state WHEN 'done' THEN 0 ELSE refund.amount END
    FROM refund JOIN orders ON orders.id = refund.order_id
    WHERE orders.sale = $1
) AS part
GROUP BY currency
ORDER BY currency
