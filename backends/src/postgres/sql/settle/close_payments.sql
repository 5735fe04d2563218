-- They are no longer awaited.
UPDATE payment SET state = 'closed', changed_at = new.at
FROM unnest($1::uuid[], $2::bigint[]) AS new (order_id, at)
WHERE payment.order_id = new.order_id AND payment.state = 'pending'
RETURNING payment.id
