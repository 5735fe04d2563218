-- The queue is first in, first out: what lies in it was released last.
SELECT sale, entry, buyer, seq, holes_below, basket, joined_at, address, epoch, attempt, called_at
FROM shop_turn
WHERE sale = ?1 AND given_up = 0
    AND released_at <= min(
        ?2,
        coalesce(
            (SELECT released_at FROM shop_turn WHERE given_up = 0 ORDER BY released_at DESC LIMIT 1 OFFSET ?3),
            -1
        )
    )
ORDER BY released_at, seq, entry
LIMIT ?4
