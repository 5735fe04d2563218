-- The oldest that are too old; `keys_clear` removes the same ones.
INSERT INTO idempotency_archive (scope, key, body, at, archived_at)
SELECT scope, key, body, at, ?3 FROM idempotency WHERE at < ?1 ORDER BY at, scope, key LIMIT ?2
