-- An outcome and a row that were written at the same moment did not see each other: the outcome counts.
DELETE FROM standby
USING (SELECT entry FROM standby WHERE sale = $1 ORDER BY since, units, entry LIMIT 512) AS first
JOIN outcome ON outcome.entry = first.entry
WHERE standby.entry = first.entry
