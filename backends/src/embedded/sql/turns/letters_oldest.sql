SELECT
    id, sale, entry, buyer, seq, holes_below, basket, joined_at, address, epoch, attempt, called_at, tries, buried_at,
    reason
FROM turn
WHERE buried_at IS NOT NULL AND id > ?1
ORDER BY id
LIMIT ?2
