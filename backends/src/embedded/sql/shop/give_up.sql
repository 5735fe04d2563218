UPDATE shop_turn SET given_up = 1 WHERE entry = ?1
