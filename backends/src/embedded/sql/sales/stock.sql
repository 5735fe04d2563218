INSERT INTO stock (sale, sku, total, available) VALUES (?1, ?2, ?3, ?3)
