DELETE FROM waiting WHERE id = ?1 AND sale = ?2
