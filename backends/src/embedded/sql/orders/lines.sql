SELECT sku, quantity, amount, from_stop, to_stop, seat_no, seat, refunded
FROM order_line WHERE order_id = ?1 ORDER BY sku, place
