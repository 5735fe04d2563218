SELECT id FROM orders WHERE state IN ('closing', 'changing') AND changed_at <= ?1 ORDER BY changed_at, id LIMIT ?2
