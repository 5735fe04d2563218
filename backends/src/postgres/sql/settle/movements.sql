-- One block of numbers for all of them, taken last.
WITH counted AS (
    INSERT INTO movement_count AS count (sale, number) VALUES ($1, cardinality($2::uuid[]))
    ON CONFLICT (sale) DO UPDATE SET number = count.number + cardinality($2::uuid[])
    RETURNING number
)
INSERT INTO movement (sale, number, hold, kind, at)
SELECT $1, counted.number - cardinality($2::uuid[]) + new.place, new.hold, new.kind, $4
FROM counted, unnest($2::uuid[], $3::text[]) WITH ORDINALITY AS new (hold, kind, place)
RETURNING hold, number
