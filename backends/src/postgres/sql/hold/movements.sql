INSERT INTO movement (sale, hold, kind, at)
SELECT $1, hold, 'held', $2 FROM unnest($3::uuid[]) AS new (hold)
RETURNING hold, number
