DELETE FROM idempotency
WHERE (scope, key) IN (SELECT scope, key FROM idempotency WHERE at < ?1 ORDER BY at, scope, key LIMIT ?2)
