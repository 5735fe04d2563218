SELECT count(*) FROM standby WHERE sale = $1
