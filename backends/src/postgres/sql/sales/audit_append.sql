INSERT INTO audit (id, at, author, verb, subject, before, after, result, reason, previous, hash)
VALUES ($1, $2, $3::json, $4, $5, $6::json, $7::json, $8, $9, $10, $11)
