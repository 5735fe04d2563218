-- Taken when it is free, has run out, or is the holder's own.
INSERT INTO duty (sale, duty, holder, until) VALUES (?1, ?2, ?3, ?5)
ON CONFLICT (sale, duty) DO UPDATE SET holder = excluded.holder, until = excluded.until
WHERE duty.holder = ?3 OR duty.until <= ?4
