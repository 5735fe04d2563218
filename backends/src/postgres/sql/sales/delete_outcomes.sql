-- Those that are told of and those that are not.
WITH gone AS (DELETE FROM outcome WHERE sale = $1 RETURNING number)
DELETE FROM outbox USING gone WHERE outbox.number = gone.number
