SELECT serving, holes::text FROM speaker WHERE sale = $1
