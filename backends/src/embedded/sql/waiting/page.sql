SELECT id, batch, entry, buyer, seq, holes_below, basket, joined_at, address
FROM waiting
WHERE sale = ?1 AND id > ?2
ORDER BY id
LIMIT ?3
