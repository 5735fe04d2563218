-- Turns that are due and have their outcome by another way: the buyer left.
DELETE FROM shop_turn
WHERE entry IN (
    SELECT shop_turn.entry FROM shop_turn
    JOIN outcome ON outcome.entry = shop_turn.entry
    WHERE shop_turn.sale = $1 AND NOT shop_turn.given_up AND shop_turn.released_at <= (SELECT ledger_now()) - $2
    LIMIT $3
    FOR UPDATE OF shop_turn SKIP LOCKED
)
