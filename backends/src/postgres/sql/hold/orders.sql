INSERT INTO orders (id, sale, entry, buyer, hold, state, version, amount, currency, units, pay_by, changed_at, reach)
SELECT id, $1, entry, buyer, hold, $2, 1, amount, $3, units, $4, $5, reach
FROM unnest($6::uuid[], $7::uuid[], $8::text[], $9::uuid[], $10::bigint[], $11::integer[], $12::text[])
    AS new (id, entry, buyer, hold, amount, units, reach)
