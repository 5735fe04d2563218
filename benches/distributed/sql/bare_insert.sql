INSERT INTO bare_order (id, buyer) SELECT id, buyer FROM unnest($1::uuid[], $2::text[]) AS new (id, buyer)
