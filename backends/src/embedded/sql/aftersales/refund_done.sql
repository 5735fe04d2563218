UPDATE refund SET state = 'done' WHERE id = ?1 AND state = 'pending'
