SELECT payment, order_id, amount, currency, state, refunded, told, changed_at FROM simulated_payment WHERE payment = ?1
