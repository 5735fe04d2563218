-- Those that are told of and those that are not.
WITH gone AS (DELETE FROM outcome WHERE sale = $1)
DELETE FROM outbox WHERE sale = $1
