UPDATE simulated_payment SET state = $3, told = false, changed_at = ledger_now()
WHERE payment = $1 AND state = $2
RETURNING payment, order_id, amount, currency, state, refunded, told, changed_at
