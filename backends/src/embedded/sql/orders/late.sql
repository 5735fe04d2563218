-- The shop closes its own orders.
SELECT id FROM orders
WHERE state = 'awaiting_payment' AND pay_by <= ?1
    AND NOT EXISTS (SELECT 1 FROM shop_order WHERE shop_order.order_id = orders.id)
ORDER BY pay_by, id
LIMIT ?2
