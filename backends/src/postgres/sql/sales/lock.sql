SELECT body::text FROM sale WHERE id = $1 FOR UPDATE
