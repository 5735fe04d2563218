SELECT
    outcome.sale, outcome.entry, outcome.buyer, outcome.seq, outcome.outcome, outcome.reason, outcome.at,
    orders.id, orders.state, orders.version, orders.pay_by, orders.changed_at, orders.hold
FROM (SELECT number, entry FROM outbox ORDER BY number LIMIT $1) AS untold
JOIN outcome ON outcome.entry = untold.entry
LEFT JOIN orders ON orders.entry = outcome.entry
ORDER BY untold.number
