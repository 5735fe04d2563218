INSERT INTO order_line (order_id, sku, place, quantity, amount, from_stop, to_stop, seat_no, seat)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
