SELECT body FROM sale ORDER BY id
