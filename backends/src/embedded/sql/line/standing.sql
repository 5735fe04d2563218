-- How far an entry of the journal of joins has come.
SELECT
    EXISTS (SELECT 1 FROM turn WHERE entry = ?1),
    (SELECT outcome FROM outcome WHERE entry = ?1),
    EXISTS (SELECT 1 FROM orders WHERE entry = ?1 AND state NOT IN ('closed', 'refunded')),
    EXISTS (SELECT 1 FROM standby WHERE entry = ?1)
