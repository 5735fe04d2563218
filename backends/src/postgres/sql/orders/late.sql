-- Whoever sweeps at the same time passes over these, and gets the next. The time is taken once: so the index ends the search.
SELECT id FROM orders
WHERE state = 'awaiting_payment' AND pay_by <= (SELECT ledger_now())
ORDER BY pay_by, id
LIMIT $1
FOR UPDATE SKIP LOCKED
