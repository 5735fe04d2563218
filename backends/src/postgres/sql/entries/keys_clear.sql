-- A few of the oldest, if they are too old. Others that clear at the same time take the next.
DELETE FROM idempotency
WHERE (scope, key) IN (
    SELECT scope, key FROM idempotency
    WHERE at < (SELECT ledger_now()) - $1
    ORDER BY at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
