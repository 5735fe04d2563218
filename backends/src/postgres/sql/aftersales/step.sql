-- A step with which some of its goods go back.
UPDATE orders
SET state = $3, version = version + 1, changed_at = $4, history = history || $5::text, lines = $6::json
WHERE id = $1 AND version = $2
