-- In key order: two batches wait for each other in a queue, never in a ring.
INSERT INTO seat_leg (sale, sku, seat, leg, order_id, hold)
SELECT $1, new.sku, new.seat, leg, new.order_id, new.hold
FROM unnest($2::text[], $3::integer[], $4::integer[], $5::integer[], $6::uuid[], $7::uuid[])
    AS new (sku, seat, from_stop, to_stop, order_id, hold),
    generate_series(new.from_stop, new.to_stop - 1) AS leg
ORDER BY new.sku COLLATE "C", new.seat, leg
