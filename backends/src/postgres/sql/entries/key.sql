-- A key that was not seen, or only so long ago that it is forgotten, is remembered now; a row comes back when it is.
INSERT INTO idempotency AS old (scope, key, body, at)
VALUES ($1, $2, $3, ledger_now())
ON CONFLICT (scope, key) DO UPDATE SET body = excluded.body, at = excluded.at
WHERE old.at < ledger_now() - $4
RETURNING 1
