SELECT entry, buyer FROM standby WHERE sale = $1 AND buyer = ANY($2)
