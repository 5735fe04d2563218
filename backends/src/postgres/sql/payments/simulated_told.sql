UPDATE simulated_payment SET told = true WHERE payment = $1 AND NOT told
