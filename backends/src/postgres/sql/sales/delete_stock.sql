DELETE FROM stock WHERE sale = $1
