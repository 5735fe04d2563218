DELETE FROM waiting WHERE sale = ?1
