-- The last row, if there is one, and the time: not before the last row's, should the clock have been set back.
SELECT last.id, last.hash, greatest(last.at, ledger_now())
FROM (VALUES (1)) AS one (n)
LEFT JOIN LATERAL (SELECT id, hash, at FROM audit ORDER BY id DESC LIMIT 1) AS last ON true
