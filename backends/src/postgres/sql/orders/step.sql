UPDATE orders
SET state = $3, version = version + 1, closing_cause = coalesce($4, closing_cause), changed_at = $5, history = history || $6::text
WHERE id = $1 AND version = $2
