-- Not under an epoch that was passed, and never backwards.
INSERT INTO speaker AS old (sale, serving, holes, given_out)
VALUES ($1, $3, $4::json, $5)
ON CONFLICT (sale) DO UPDATE SET
    serving = excluded.serving,
    holes = excluded.holes,
    given_out = greatest(old.given_out, excluded.given_out)
WHERE old.epoch <= $2 AND old.serving <= excluded.serving
