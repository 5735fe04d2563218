DELETE FROM seat_leg
USING unnest($1::uuid[], $2::uuid[]) AS freed (order_id, hold)
WHERE seat_leg.order_id = freed.order_id AND seat_leg.hold = freed.hold
