UPDATE orders SET state = new.state, version = orders.version + 1, changed_at = new.at
FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::bigint[]) AS new (id, version, state, at)
WHERE orders.id = new.id AND orders.version = new.version
