-- The first one, one that ends what is held since the last, or a repeat of the last, which changes nothing.
INSERT INTO place_move AS old (entry, sale, at, name) VALUES ($1, $2, greatest(ledger_now(), $3::bigint + 1), $4)
ON CONFLICT (entry) DO UPDATE SET
    at = CASE WHEN old.at > $3 THEN old.at ELSE excluded.at END,
    name = excluded.name
WHERE old.at <= $3 OR old.name = excluded.name
RETURNING at
