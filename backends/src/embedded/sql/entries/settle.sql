-- The first outcome wins.
INSERT INTO outcome (entry, sale, buyer, seq, holes_below, joined_at, outcome, reason, at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
ON CONFLICT (entry) DO NOTHING
