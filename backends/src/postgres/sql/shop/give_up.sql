UPDATE shop_turn SET given_up = true WHERE entry = ANY($1)
