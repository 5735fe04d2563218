SELECT epoch FROM speaker WHERE sale = $1
