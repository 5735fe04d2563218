-- The key that is asked for, if it is too old: it is about to be overwritten.
INSERT INTO idempotency_archive (scope, key, body, at, archived_at)
SELECT scope, key, body, at, ledger_now() FROM idempotency
WHERE scope = $1 AND key = $2 AND at < ledger_now() - $3
