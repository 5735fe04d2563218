SELECT id, rule, reason, at FROM ban WHERE md5(rule) = md5($1) AND rule = $1
