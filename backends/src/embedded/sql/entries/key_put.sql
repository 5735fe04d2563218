INSERT INTO idempotency (scope, key, body, at) VALUES (?1, ?2, ?3, ?4)
