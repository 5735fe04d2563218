-- Everybody in the journal of joins: as far as they have come.
SELECT
    waiting.entry, waiting.buyer, waiting.seq, waiting.holes_below, waiting.basket, waiting.joined_at, waiting.address,
    EXISTS (SELECT 1 FROM turn WHERE turn.entry = waiting.entry),
    outcome.outcome,
    EXISTS (
        SELECT 1 FROM orders WHERE orders.entry = waiting.entry AND orders.state NOT IN ('closed', 'refunded')
    )
FROM waiting
LEFT JOIN outcome ON outcome.entry = waiting.entry
WHERE waiting.sale = ?1
ORDER BY waiting.id
