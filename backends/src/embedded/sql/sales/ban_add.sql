INSERT INTO ban (rule, reason, at) VALUES (?1, ?2, ?3) RETURNING id, rule, reason, at
