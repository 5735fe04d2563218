-- The late ones begin to close, each with its row of history. They are locked.
WITH closing AS (
    UPDATE orders
    SET state = $2, version = version + 1, closing_cause = $3, changed_at = greatest(changed_at, (SELECT ledger_now()))
    WHERE id = ANY($1) AND state = 'awaiting_payment'
    RETURNING id, version, state, changed_at
)
INSERT INTO order_history (order_id, version, state, at, reason)
SELECT id, version, state, changed_at, $4 FROM closing
