-- Those of every hold its orders ever had.
DELETE FROM movement WHERE sale = $1
