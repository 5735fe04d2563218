-- Whoever claims at the same time passes over these, and gets the next. Each is due again after a while.
UPDATE refund SET tries = tries + 1, due_at = (SELECT ledger_now()) + $1
WHERE id = ANY (ARRAY(
    SELECT id FROM refund
    WHERE state = 'pending' AND due_at <= (SELECT ledger_now())
    ORDER BY due_at, id
    LIMIT $2
    FOR UPDATE SKIP LOCKED
))
RETURNING id, order_id, payment, amount, currency, scope, items, cause, state, tries
