-- Those who stand by.
SELECT entry, buyer, 0, 0, basket, joined_at, address
FROM standby
WHERE sale = ?1
