INSERT INTO shop_turn
    (entry, sale, buyer, seq, holes_below, basket, joined_at, address, epoch, attempt, called_at, released_at)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12
WHERE NOT EXISTS (SELECT 1 FROM outcome WHERE outcome.entry = ?1)
ON CONFLICT (entry) DO NOTHING
