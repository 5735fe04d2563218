UPDATE turn SET buried_at = ?2, reason = ?3 WHERE id = ?1 AND buried_at IS NULL
