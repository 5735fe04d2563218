SELECT
    outcome.sale, outcome.entry, outcome.buyer, outcome.seq, outcome.outcome, outcome.reason, outcome.at,
    orders.id, orders.state, orders.version, orders.pay_by, orders.changed_at, orders.hold,
    shop_order.name, shop_order.link
FROM outcome
LEFT JOIN orders ON orders.entry = outcome.entry
LEFT JOIN shop_order ON shop_order.order_id = orders.id
WHERE outcome.entry = ?1
