SELECT body::text FROM sale ORDER BY id
