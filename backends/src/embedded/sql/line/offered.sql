-- Those who stand by and were made an offer that no worker has settled.
SELECT entry, buyer, seq, holes_below, basket, joined_at, address
FROM standby
WHERE sale = ?1 AND EXISTS (SELECT 1 FROM turn WHERE turn.entry = standby.entry)
