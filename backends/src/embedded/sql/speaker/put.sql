INSERT INTO speaker (sale, holder, until, epoch, high_water, serving, holes, given_out)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT (sale) DO UPDATE SET
    holder = excluded.holder,
    until = excluded.until,
    epoch = excluded.epoch,
    high_water = excluded.high_water,
    serving = excluded.serving,
    holes = excluded.holes,
    given_out = excluded.given_out
