UPDATE speaker SET holder = NULL, until = 0 WHERE sale = $1 AND holder = $2
