INSERT INTO order_line (order_id, sku, quantity, amount)
SELECT order_id, sku, quantity, amount
FROM unnest($1::uuid[], $2::text[], $3::integer[], $4::bigint[]) AS new (order_id, sku, quantity, amount)
