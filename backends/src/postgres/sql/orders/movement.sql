INSERT INTO movement (sale, hold, kind, at) VALUES ($1, $2, $3, $4) RETURNING number
