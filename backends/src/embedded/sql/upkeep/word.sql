SELECT id, kind, at FROM movement WHERE hold = ?1 ORDER BY id DESC LIMIT 1
