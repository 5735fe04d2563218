SELECT entry, buyer, basket, joined_at, address, reach, since
FROM standby
WHERE sale = $1 AND basket <> ALL($3)
ORDER BY since, units, entry
LIMIT $2
