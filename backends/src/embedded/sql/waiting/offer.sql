INSERT INTO waiting (id, sale, entries, body) VALUES (?1, ?2, ?3, ?4)
