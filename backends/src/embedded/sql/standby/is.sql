SELECT 1 FROM standby WHERE entry = ?1
