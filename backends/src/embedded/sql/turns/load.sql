SELECT
    id, sale, entry, buyer, seq, holes_below, basket, joined_at, address, epoch, attempt, called_at, tries, due_at,
    reach
FROM turn
WHERE buried_at IS NULL
ORDER BY id
