-- The latest movement of each hold.
SELECT DISTINCT ON (hold) hold, number, kind, (SELECT ledger_now()) - at
FROM movement
WHERE hold = ANY ($1)
ORDER BY hold, number DESC
