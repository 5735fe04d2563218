SELECT order_id, provider, state, version, amount, currency, surplus, refunding FROM payment WHERE id = ?1
