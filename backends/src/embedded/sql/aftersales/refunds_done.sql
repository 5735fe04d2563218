-- The provider says that all of a payment went back.
UPDATE refund SET state = 'done' WHERE payment = ?1 AND state = 'pending'
