WITH counted AS (
    INSERT INTO movement_count AS count (sale, number) VALUES ($1, cardinality($3::uuid[]))
    ON CONFLICT (sale) DO UPDATE SET number = count.number + cardinality($3::uuid[])
    RETURNING number
)
INSERT INTO movement (sale, number, hold, kind, at)
SELECT $1, counted.number - cardinality($3::uuid[]) + new.place, new.hold, 'held', $2
FROM counted, unnest($3::uuid[]) WITH ORDINALITY AS new (hold, place)
RETURNING hold, number
