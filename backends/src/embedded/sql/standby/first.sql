SELECT entry, buyer, 0, 0, basket, joined_at, address, reach
FROM standby
WHERE sale = ?1 AND basket NOT IN (SELECT value FROM json_each(?3))
ORDER BY joined_at, units, entry
LIMIT ?2
