-- Some of the oldest, if they are too old. Others that sweep at the same time take the next.
WITH old AS (
    DELETE FROM idempotency
    WHERE (scope, key) IN (
        SELECT scope, key FROM idempotency
        WHERE at < (SELECT ledger_now()) - $1
        ORDER BY at
        LIMIT $2
        FOR UPDATE SKIP LOCKED
    )
    RETURNING scope, key, body, at
)
INSERT INTO idempotency_archive (scope, key, body, at, archived_at)
SELECT scope, key, body, at, ledger_now() FROM old
