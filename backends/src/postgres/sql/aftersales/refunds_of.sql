SELECT id, order_id, payment, amount, currency, scope, items, cause, state, tries
FROM refund
WHERE order_id = $1
ORDER BY begun_at, id
