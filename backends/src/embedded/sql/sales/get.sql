SELECT body FROM sale WHERE id = ?1
