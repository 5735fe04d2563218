SELECT payment, amount FROM simulated_refund WHERE refund = $1
