SELECT
    outcome.sale, outcome.entry, outcome.buyer, outcome.seq, outcome.outcome, outcome.reason, outcome.at,
    orders.id, orders.state, orders.version, orders.pay_by, orders.changed_at, orders.hold,
    shop_order.name, shop_order.link
FROM (SELECT number, entry FROM outbox ORDER BY number LIMIT $1) AS untold
JOIN outcome ON outcome.entry = untold.entry
LEFT JOIN orders ON orders.entry = outcome.entry
LEFT JOIN shop_order ON shop_order.order_id = orders.id
ORDER BY untold.number
