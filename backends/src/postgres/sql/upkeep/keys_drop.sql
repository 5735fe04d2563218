DELETE FROM idempotency_archive
WHERE id IN (
    SELECT id FROM idempotency_archive
    WHERE archived_at < (SELECT ledger_now()) - $1
    ORDER BY archived_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
