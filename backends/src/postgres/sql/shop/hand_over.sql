-- In the order of entries, so that two writers never wait for each other in a ring.
INSERT INTO shop_turn
    (entry, sale, buyer, seq, holes_below, basket, joined_at, epoch, attempt, called_at, released_at)
SELECT entry, sale, buyer, seq, holes_below, basket, joined_at, epoch, attempt, called_at, (SELECT ledger_now())
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::bigint[], $8::bigint[],
        $9::integer[], $10::bigint[])
    AS new (entry, sale, buyer, seq, holes_below, basket, joined_at, epoch, attempt, called_at)
WHERE NOT EXISTS (SELECT 1 FROM outcome WHERE outcome.entry = new.entry)
ON CONFLICT (entry) DO NOTHING
