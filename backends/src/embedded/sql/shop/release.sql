UPDATE shop_turn SET attempt = attempt + 1, released_at = ?2 WHERE entry = ?1
