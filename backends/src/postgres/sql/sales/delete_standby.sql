DELETE FROM standby WHERE sale = $1
