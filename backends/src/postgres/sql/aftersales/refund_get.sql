SELECT id, order_id, payment, amount, currency, scope, items, cause, state, tries FROM refund WHERE id = $1
