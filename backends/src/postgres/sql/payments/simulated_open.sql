INSERT INTO simulated_payment (payment, order_id, amount, currency, state, told, changed_at)
VALUES ($1, $2, $3, $4, $5, $6, ledger_now())
ON CONFLICT (payment) DO NOTHING
