-- The queue is first in, first out: what lies in it was released last.
SELECT sale, entry, buyer, seq, holes_below, basket, joined_at, address, epoch, attempt, called_at
FROM shop_turn
WHERE sale = ?1 AND given_up = 0 AND released_at <= ?2
    AND entry NOT IN (
        SELECT entry FROM shop_turn WHERE given_up = 0 ORDER BY released_at DESC, seq DESC LIMIT ?3
    )
ORDER BY released_at, seq
LIMIT ?4
