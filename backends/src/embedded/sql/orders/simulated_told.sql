UPDATE simulated_payment SET told = 1 WHERE payment = ?1 AND state = ?2
