INSERT INTO sale (id, version, body) VALUES (?1, ?2, ?3)
