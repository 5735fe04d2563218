INSERT INTO simulated_refund (refund, payment, amount, at) VALUES ($1, $2, $3, ledger_now())
