SELECT
    id, sale, entry, buyer, seq, holes_below, basket, joined_at, address, epoch, attempt, called_at, tries, buried_at,
    reason
FROM turn
WHERE id = ?1 AND buried_at IS NOT NULL
