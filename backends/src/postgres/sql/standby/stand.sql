-- In the order of entries, so that two writers never wait for each other in a ring. One of each buyer: the first.
INSERT INTO standby (entry, sale, buyer, basket, units, joined_at, address, reach, since)
SELECT entry, $1, buyer, basket, units, joined_at, address, reach, since
FROM unnest($2::uuid[], $3::text[], $4::text[], $5::integer[], $6::bigint[], $7::text[],
        $8::text[], $9::bigint[])
    AS new (entry, buyer, basket, units, joined_at, address, reach, since)
WHERE NOT EXISTS (SELECT 1 FROM outcome WHERE outcome.entry = new.entry)
ON CONFLICT DO NOTHING
