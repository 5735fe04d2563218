-- Counts a try once, however often it is asked for.
UPDATE turn SET tries = ?2 + 1, due_at = ?3 WHERE id = ?1 AND tries = ?2 AND buried_at IS NULL
