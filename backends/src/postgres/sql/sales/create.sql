INSERT INTO sale (id, version, body) VALUES ($1, $2, $3::json) ON CONFLICT (id) DO NOTHING
