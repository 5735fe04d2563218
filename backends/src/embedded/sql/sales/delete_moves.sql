DELETE FROM place_move WHERE sale = ?1
