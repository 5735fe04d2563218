SELECT until FROM speaker WHERE sale = $1 AND holder IS NOT NULL
