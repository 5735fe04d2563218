DELETE FROM outcome WHERE sale = ?1
