SELECT 1 FROM simulated_payment WHERE payment = $1 FOR UPDATE
