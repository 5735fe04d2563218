SELECT order_id, provider, state, version, amount, currency, surplus FROM payment WHERE id = $1
