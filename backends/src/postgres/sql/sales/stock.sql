INSERT INTO stock (sale, sku, total, available)
SELECT $1, sku, units, units FROM unnest($2::text[], $3::bigint[]) AS new (sku, units)
