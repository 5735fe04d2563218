INSERT INTO order_history (order_id, version, state, at, reason)
SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::bigint[], $5::text[])
