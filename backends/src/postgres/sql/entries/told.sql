DELETE FROM outbox WHERE number = ANY(ARRAY(SELECT number FROM outcome WHERE entry = ANY($1) ORDER BY number))
