DELETE FROM idempotency_archive
WHERE id IN (SELECT id FROM idempotency_archive WHERE archived_at < ?1 ORDER BY archived_at LIMIT ?2)
