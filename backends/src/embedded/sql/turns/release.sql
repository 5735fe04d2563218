INSERT INTO turn (sale, entry, buyer, seq, holes_below, basket, joined_at, address, epoch, attempt, called_at, reach)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
