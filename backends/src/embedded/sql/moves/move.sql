-- The first one, one that ends what is held since the last, or a repeat of the last, which changes nothing.
INSERT INTO place_move (entry, sale, at, name) VALUES (?1, ?2, max(?3, ?4 + 1), ?5)
ON CONFLICT (entry) DO UPDATE SET
    at = CASE WHEN place_move.at > ?4 THEN place_move.at ELSE excluded.at END,
    name = excluded.name
WHERE place_move.at <= ?4 OR place_move.name = excluded.name
RETURNING at
