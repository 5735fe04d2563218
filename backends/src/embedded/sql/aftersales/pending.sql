-- Whether a payment has a refund on its way.
SELECT 1 FROM refund WHERE order_id = ?1 AND payment = ?2 AND state = 'pending'
