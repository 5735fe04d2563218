-- The first outcome of an entry wins; those that are written go to the outbox, some in a row, and stand by no longer. $2 is the
-- time, or null for now. The entries come in their order, so that two writers never wait for each other in a ring.
WITH written AS (
    INSERT INTO outcome (entry, sale, buyer, seq, holes_below, joined_at, outcome, reason, at)
    SELECT entry, $1, buyer, seq, holes_below, joined_at, outcome, reason, coalesce($2::bigint, (SELECT ledger_now()))
    FROM unnest($3::uuid[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::text[], $9::text[])
        AS new (entry, buyer, seq, holes_below, joined_at, outcome, reason)
    ON CONFLICT DO NOTHING
    RETURNING entry
), ended AS (
    DELETE FROM standby WHERE entry = ANY($3)
), untold AS (
    INSERT INTO outbox (sale, entries)
    SELECT $1, array_agg(entry)
    FROM (SELECT entry, (row_number() OVER () - 1) / 64 AS row FROM written) AS numbered
    GROUP BY row
    ORDER BY row
)
SELECT count(*) FROM written
