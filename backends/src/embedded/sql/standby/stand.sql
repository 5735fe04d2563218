INSERT INTO standby (entry, sale, buyer, basket, units, joined_at, address)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT DO NOTHING
