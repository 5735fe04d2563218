-- The key that is asked for, if it is too old; `key_clear` removes it.
INSERT INTO idempotency_archive (scope, key, body, at, archived_at)
SELECT scope, key, body, at, ?4 FROM idempotency WHERE scope = ?1 AND key = ?2 AND at < ?3
