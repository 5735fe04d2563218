-- The latest movement of a hold.
SELECT number, kind FROM movement WHERE hold = $1 ORDER BY number DESC LIMIT 1
