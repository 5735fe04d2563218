-- Their lines, history and payments go with them.
DELETE FROM orders WHERE sale = ?1
