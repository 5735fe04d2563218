UPDATE sale SET version = $2, body = $3::json WHERE id = $1 AND version = $2 - 1
