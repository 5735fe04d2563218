DELETE FROM movement WHERE sale = ?1
