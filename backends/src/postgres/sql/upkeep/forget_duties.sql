DELETE FROM duty WHERE sale = $1
