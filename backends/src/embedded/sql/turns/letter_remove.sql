DELETE FROM turn WHERE id = ?1 AND buried_at IS NOT NULL
