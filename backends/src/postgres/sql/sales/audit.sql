SELECT id, at, author::text, verb, subject, before::text, after::text, result, reason, previous, hash
FROM audit
WHERE id < $1
ORDER BY id DESC
LIMIT $2
