UPDATE simulated_payment
SET refunded = refunded + $2,
    state = CASE WHEN refunded + $2 = amount THEN 'refunded' ELSE state END,
    told = told AND refunded + $2 < amount,
    changed_at = ledger_now()
WHERE payment = $1 AND state = 'succeeded' AND $2 <= amount - refunded
RETURNING payment, order_id, amount, currency, state, refunded, told, changed_at
