-- Turns that are due and have their outcome by another way: the buyer left.
DELETE FROM shop_turn
WHERE sale = ?1 AND given_up = 0 AND released_at <= ?2
    AND EXISTS (SELECT 1 FROM outcome WHERE outcome.entry = shop_turn.entry)
