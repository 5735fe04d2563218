-- Not for a sale that is gone.
INSERT INTO reconciliation (sale, body) SELECT id, $2::json FROM sale WHERE id = $1
ON CONFLICT (sale) DO UPDATE SET body = excluded.body
