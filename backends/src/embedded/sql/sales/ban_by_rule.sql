SELECT id, rule, reason, at FROM ban WHERE rule = ?1
