UPDATE speaker SET holder = NULL, until = 0 WHERE holder IS NOT NULL
