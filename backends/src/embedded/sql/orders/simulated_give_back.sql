UPDATE simulated_payment
SET refunded = refunded + ?2,
    state = CASE WHEN refunded + ?2 = amount THEN 'refunded' ELSE state END,
    told = CASE WHEN refunded + ?2 = amount THEN 0 ELSE told END,
    changed_at = ?3
WHERE payment = ?1 AND state = 'succeeded' AND ?2 <= amount - refunded
