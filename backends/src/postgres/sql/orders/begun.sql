SELECT id FROM orders WHERE state IN ('closing', 'changing') ORDER BY changed_at, id LIMIT $1
