INSERT INTO payment (id, order_id, provider, state, version, amount, currency, changed_at)
VALUES ($1, $2, $3, $4, 0, $5, $6, $7)
