-- The highest number that turns and outcomes know to have been given out.
SELECT max(
    (SELECT coalesce(max(seq), 0) FROM turn WHERE sale = ?1),
    (SELECT coalesce(max(seq), 0) FROM outcome WHERE sale = ?1)
)
