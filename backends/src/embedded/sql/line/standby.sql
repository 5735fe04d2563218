-- Those who stand by.
SELECT entry, buyer, seq, holes_below, basket, joined_at, address
FROM standby
WHERE sale = ?1
