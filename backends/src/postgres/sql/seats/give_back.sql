DELETE FROM seat_leg
USING unnest($2::text[], $3::integer[], $4::integer[], $5::integer[]) AS back (sku, seat, from_stop, to_stop)
WHERE seat_leg.order_id = $1 AND seat_leg.sku = back.sku AND seat_leg.seat = back.seat
    AND seat_leg.leg >= back.from_stop AND seat_leg.leg < back.to_stop
