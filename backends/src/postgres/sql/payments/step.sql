UPDATE payment SET state = $2, version = $3, surplus = $4, changed_at = $5 WHERE id = $1
