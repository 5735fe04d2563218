INSERT INTO audit (id, at, author, verb, subject, before, after, result, reason, previous, hash)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
