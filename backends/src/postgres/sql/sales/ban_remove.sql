DELETE FROM ban WHERE id = $1 RETURNING id, rule, reason, at
