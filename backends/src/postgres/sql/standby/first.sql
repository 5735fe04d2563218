SELECT entry, buyer, basket, joined_at, address, reach
FROM standby
WHERE sale = $1 AND basket <> ALL($3)
ORDER BY joined_at, units, entry
LIMIT $2
