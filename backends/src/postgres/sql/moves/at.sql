SELECT at FROM place_move WHERE entry = $1
