-- Not under an epoch that was passed, and never backwards.
INSERT INTO speaker AS old (sale, serving, holes)
VALUES ($1, $3, $4::json)
ON CONFLICT (sale) DO UPDATE SET serving = excluded.serving, holes = excluded.holes
WHERE old.epoch <= $2 AND old.serving <= excluded.serving
