UPDATE payment SET state = 'closed', changed_at = $2 WHERE order_id = $1 AND state = 'pending'
