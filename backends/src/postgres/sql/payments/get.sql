SELECT order_id, provider, state, version, amount, currency, surplus, refunding, id FROM payment WHERE id = ANY($1)
