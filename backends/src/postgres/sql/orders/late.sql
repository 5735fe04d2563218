-- Whoever sweeps at the same time passes over these, and gets the next. The time is taken once: so the index ends the search.
SELECT id FROM orders
WHERE state = 'awaiting_payment' AND pay_by <= (SELECT ledger_now())
    -- The shop closes its own.
    AND NOT EXISTS (SELECT 1 FROM shop_order WHERE shop_order.order_id = orders.id)
ORDER BY pay_by, id
LIMIT $1
FOR UPDATE SKIP LOCKED
