UPDATE outcome SET told = 1 WHERE entry = ?1 AND told = 0
