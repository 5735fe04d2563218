-- Taken when it is free, has run out, or is the holder's own; under a higher epoch unless it is the holder's own and runs.
INSERT INTO speaker AS old (sale, holder, until, epoch)
VALUES ($1, $2, ledger_now() + $3, 1)
ON CONFLICT (sale) DO UPDATE SET
    holder = excluded.holder,
    until = ledger_now() + $3,
    epoch = old.epoch + CASE WHEN old.holder = $2 AND old.until > ledger_now() THEN 0 ELSE 1 END
WHERE old.holder IS NULL OR old.holder = $2 OR old.until <= ledger_now()
RETURNING epoch, until
