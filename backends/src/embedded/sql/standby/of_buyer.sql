SELECT entry FROM standby WHERE sale = ?1 AND buyer = ?2
