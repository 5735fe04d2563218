SELECT id, order_id, payment, amount, currency, scope, items, cause, state, tries
FROM refund
WHERE state = 'pending' AND due_at <= ?1
ORDER BY due_at, id
LIMIT ?2
