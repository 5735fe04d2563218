-- The highest number that turns, outcomes and those who stand by know to have been given out.
SELECT max(
    (SELECT coalesce(max(seq), 0) FROM turn WHERE sale = ?1),
    (SELECT coalesce(max(seq), 0) FROM outcome WHERE sale = ?1),
    (SELECT coalesce(max(seq), 0) FROM standby WHERE sale = ?1)
)
