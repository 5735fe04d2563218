-- An entry that is in the journal already is the same entry.
INSERT INTO waiting (sale, id, batch, entry, buyer, seq, holes_below, basket, joined_at, address)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
ON CONFLICT (entry) DO NOTHING
