INSERT INTO standby (entry, sale, buyer, basket, units, joined_at, address, reach, seq, holes_below, since)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
ON CONFLICT DO NOTHING
