SELECT entry FROM standby WHERE entry = ANY($1)
