UPDATE order_line SET refunded = refunded + back.quantity
FROM unnest($2::text[], $3::integer[], $4::integer[], $5::integer[]) AS back (sku, quantity, seat_no, from_stop)
WHERE order_line.order_id = $1 AND order_line.sku = back.sku
    AND order_line.seat_no IS NOT DISTINCT FROM back.seat_no
    AND order_line.from_stop IS NOT DISTINCT FROM back.from_stop
