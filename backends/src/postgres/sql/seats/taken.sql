-- Which of these seats somebody has, on any of these legs.
SELECT DISTINCT asked.sku, asked.seat, seat_leg.leg, seat_leg.order_id
FROM unnest($2::text[], $3::integer[], $4::integer[], $5::integer[]) AS asked (sku, seat, from_stop, to_stop)
JOIN seat_leg ON seat_leg.sale = $1 AND seat_leg.sku = asked.sku AND seat_leg.seat = asked.seat
    AND seat_leg.leg >= asked.from_stop AND seat_leg.leg < asked.to_stop
