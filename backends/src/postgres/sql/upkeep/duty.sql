-- Taken when it is free, has run out, or is the holder's own.
INSERT INTO duty AS old (sale, duty, holder, until) VALUES ($1, $2, $3, ledger_now() + $4)
ON CONFLICT (sale, duty) DO UPDATE SET holder = excluded.holder, until = excluded.until
WHERE old.holder = $3 OR old.until <= ledger_now()
