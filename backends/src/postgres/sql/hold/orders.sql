INSERT INTO orders (
    id, sale, entry, buyer, hold, state, version, amount, currency, units, pay_by, changed_at, history, reach, lines
)
SELECT id, $1, entry, buyer, hold, $2, 1, amount, $3, units, $4, $5, ARRAY[$6], reach, lines::json
FROM unnest($7::uuid[], $8::uuid[], $9::text[], $10::uuid[], $11::bigint[], $12::integer[], $13::text[], $14::text[])
    AS new (id, entry, buyer, hold, amount, units, reach, lines)
