SELECT high_water FROM speaker WHERE sale = $1
