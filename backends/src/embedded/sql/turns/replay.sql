UPDATE turn SET buried_at = NULL, reason = NULL, tries = 0, due_at = NULL WHERE id = ?1 AND buried_at IS NOT NULL
