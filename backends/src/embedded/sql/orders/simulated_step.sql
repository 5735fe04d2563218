UPDATE simulated_payment SET state = ?3, told = 0, changed_at = ?4 WHERE payment = ?1 AND state = ?2
