SELECT id, at, author, verb, subject, before, after, result, reason, previous, hash
FROM audit
WHERE id < ?1
ORDER BY id DESC
LIMIT ?2
