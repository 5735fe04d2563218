SELECT id FROM orders WHERE state = 'awaiting_payment' AND pay_by <= ?1 ORDER BY pay_by, id LIMIT ?2
