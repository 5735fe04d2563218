SELECT id, rule, reason, at FROM ban ORDER BY id
