UPDATE simulated_payment SET told = true WHERE payment = $1 AND state = $2 AND NOT told
