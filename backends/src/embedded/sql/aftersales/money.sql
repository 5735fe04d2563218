-- Each part is summed by itself: payments, orders by their lines, refunds. What the shop's own backend made is paid there.
SELECT currency, sum(taken), sum(kept), sum(refunded), sum(in_flight)
FROM (
    SELECT payment.currency AS currency, payment.amount AS taken, 0 AS kept, 0 AS refunded, 0 AS in_flight
    FROM payment JOIN orders ON orders.id = payment.order_id
    WHERE orders.sale = ?1 AND payment.state IN ('succeeded', 'refunded')
    UNION ALL
    SELECT orders.currency, 0, (order_line.quantity - order_line.refunded) * order_line.amount, 0, 0
    FROM orders JOIN order_line ON order_line.order_id = orders.id
    WHERE orders.sale = ?1 AND orders.state IN ('paid', 'fulfilling', 'fulfilled', 'failed', 'changing')
        AND NOT EXISTS (SELECT 1 FROM shop_order WHERE shop_order.order_id = orders.id)
    UNION ALL
    SELECT refund.currency, 0, 0, iif(refund.state = 'done', refund.amount, 0), iif(refund.state = 'done', 0, refund.amount)
    FROM refund JOIN orders ON orders.id = refund.order_id
    WHERE orders.sale = ?1
)
GROUP BY currency
ORDER BY currency
