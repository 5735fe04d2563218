-- Oldest first.
SELECT
    outcome.sale, outcome.entry, outcome.buyer, outcome.seq, outcome.outcome, outcome.reason, outcome.at,
    orders.id, orders.state, orders.version, orders.pay_by, orders.changed_at, orders.hold,
    shop_order.name, shop_order.link
FROM (
    SELECT number, entries, sum(cardinality(entries)) OVER (ORDER BY number) - cardinality(entries) AS before
    FROM (SELECT number, entries FROM outbox ORDER BY number LIMIT $1) AS oldest
) AS row
CROSS JOIN LATERAL unnest(row.entries) WITH ORDINALITY AS untold (entry, place)
JOIN outcome ON outcome.entry = untold.entry
LEFT JOIN orders ON orders.entry = outcome.entry
LEFT JOIN shop_order ON shop_order.order_id = orders.id
WHERE row.before < $1
ORDER BY row.number, untold.place
LIMIT $1
