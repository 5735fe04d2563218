INSERT INTO order_line (order_id, sku, place, quantity, amount, from_stop, to_stop, seat_no, seat)
SELECT order_id, sku, place, quantity, amount, from_stop, to_stop, seat_no, seat
FROM unnest(
    $1::uuid[], $2::text[], $3::integer[], $4::integer[], $5::bigint[], $6::integer[], $7::integer[], $8::integer[],
    $9::text[]
) AS new (order_id, sku, place, quantity, amount, from_stop, to_stop, seat_no, seat)
