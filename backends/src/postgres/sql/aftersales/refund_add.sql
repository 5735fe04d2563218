INSERT INTO refund (id, order_id, payment, amount, currency, scope, items, cause, state, due_at, begun_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)
