-- Whoever asks at the same time passes over these. The queue is first in, first out: what lies in it was released last.
UPDATE shop_turn
SET attempt = attempt + 1, released_at = (SELECT ledger_now())
WHERE entry IN (
    SELECT entry FROM shop_turn
    WHERE sale = $1 AND NOT given_up AND released_at <= (SELECT ledger_now()) - $2
        AND entry NOT IN (
            SELECT entry FROM shop_turn WHERE NOT given_up ORDER BY released_at DESC, seq DESC LIMIT $3
        )
        AND NOT EXISTS (SELECT 1 FROM outcome WHERE outcome.entry = shop_turn.entry)
    ORDER BY released_at, seq
    LIMIT $4
    FOR UPDATE SKIP LOCKED
)
RETURNING entry, sale, buyer, seq, holes_below, basket, joined_at, epoch, attempt, called_at
