-- A few of the oldest, and the one that is asked for, if they are too old.
DELETE FROM idempotency
WHERE at < ?1
    AND ((scope, key) = (?3, ?4)
        OR (scope, key) IN (SELECT scope, key FROM idempotency WHERE at < ?1 ORDER BY at LIMIT ?2))
