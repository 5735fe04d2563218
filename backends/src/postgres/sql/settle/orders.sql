-- Each by as many versions as it has changes, which are lines of a text.
UPDATE orders
SET state = new.state, version = orders.version + new.count, changed_at = new.at,
    history = orders.history || string_to_array(new.changes, E'\n')
FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::bigint[], $5::integer[], $6::text[])
    AS new (id, version, state, at, count, changes)
WHERE orders.id = new.id AND orders.version = new.version
