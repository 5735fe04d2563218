SELECT entry, buyer, 0, 0, basket, joined_at, address, reach, since
FROM standby
WHERE sale = ?1 AND basket NOT IN (SELECT value FROM json_each(?3))
ORDER BY since, units, entry
LIMIT ?2
