-- A payment begun for each order, under these ids.
INSERT INTO payment (id, order_id, provider, state, version, amount, currency, changed_at)
SELECT named.id, waiting.id, 'simulated', 'pending', 0, waiting.amount, waiting.currency, ledger_now()
FROM (SELECT *, row_number() OVER (ORDER BY id) AS place FROM orders WHERE state = 'awaiting_payment') AS waiting
JOIN unnest($1::uuid[]) WITH ORDINALITY AS named (id, place) USING (place)
RETURNING id, order_id, amount
