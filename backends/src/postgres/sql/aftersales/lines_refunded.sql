UPDATE order_line SET refunded = refunded + back.quantity
FROM unnest($2::text[], $3::integer[]) AS back (sku, quantity)
WHERE order_line.order_id = $1 AND order_line.sku = back.sku
