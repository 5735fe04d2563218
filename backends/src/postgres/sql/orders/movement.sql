WITH counted AS (
    INSERT INTO movement_count AS count (sale, number) VALUES ($1, 1)
    ON CONFLICT (sale) DO UPDATE SET number = count.number + 1
    RETURNING number
)
INSERT INTO movement (sale, number, hold, kind, at)
SELECT $1, number, $2, $3, $4 FROM counted
RETURNING number
