UPDATE payment SET state = new.state, version = new.version, changed_at = new.at
FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[]) AS new (id, state, version, at)
WHERE payment.id = new.id
