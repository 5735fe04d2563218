INSERT INTO ban (rule, reason, at) VALUES ($1, $2, ledger_now()) RETURNING id, rule, reason, at
