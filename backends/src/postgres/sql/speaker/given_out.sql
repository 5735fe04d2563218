SELECT given_out FROM speaker WHERE sale = $1
