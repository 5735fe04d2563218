UPDATE refund SET due_at = (SELECT ledger_now()) + $2 WHERE id = $1 AND state = 'pending'
