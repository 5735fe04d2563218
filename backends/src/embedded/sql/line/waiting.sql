SELECT body FROM waiting WHERE sale = ?1 ORDER BY id
