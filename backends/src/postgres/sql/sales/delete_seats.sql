DELETE FROM seat_leg WHERE sale = $1
