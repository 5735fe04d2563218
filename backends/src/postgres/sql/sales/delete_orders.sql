-- Their payments go with them.
DELETE FROM orders WHERE sale = $1
