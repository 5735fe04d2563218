INSERT INTO orders (id, sale, entry, buyer, hold, state, version, amount, currency, units, pay_by, changed_at, reach)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, ?8, ?9, ?10, ?11, ?12)
