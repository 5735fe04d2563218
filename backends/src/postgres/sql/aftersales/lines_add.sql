INSERT INTO order_line (order_id, sku, quantity, amount)
SELECT $1, sku, quantity, amount
FROM unnest($2::text[], $3::integer[], $4::bigint[]) AS new (sku, quantity, amount)
