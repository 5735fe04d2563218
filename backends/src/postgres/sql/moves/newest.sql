SELECT entry, at FROM place_move WHERE at > $1 ORDER BY at DESC LIMIT $2
