INSERT INTO seat_leg (sale, sku, seat, leg, order_id, hold) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
