INSERT INTO payment (id, order_id, provider, state, version, amount, currency, changed_at)
SELECT gen_random_uuid(), id, 'simulated', 'pending', 0, amount, currency, ledger_now()
FROM orders
WHERE state = 'awaiting_payment'
RETURNING id, order_id, amount
