-- Those whose turn is out, or buried. Several attempts are one place.
SELECT entry, buyer, seq, holes_below, basket, joined_at, address
FROM turn
WHERE sale = ?1
    AND NOT EXISTS (SELECT 1 FROM outcome WHERE outcome.entry = turn.entry)
GROUP BY entry
ORDER BY id
