SELECT id, body FROM waiting WHERE sale = ?1 AND id > ?2 ORDER BY id
