SELECT payment, order_id, amount, currency, state, refunded, told, changed_at
FROM simulated_payment
WHERE told = 0 AND state IN ('succeeded', 'failed', 'refunded') AND changed_at <= ?1
ORDER BY changed_at, payment
LIMIT ?2
