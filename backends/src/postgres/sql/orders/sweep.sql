-- The late ones begin to close, and their history says so. They are locked.
UPDATE orders
SET state = $2, version = version + 1, closing_cause = $3, changed_at = new.at,
    history = history || concat_ws(' ', $2, new.at, $4)
FROM (SELECT id, greatest(changed_at, (SELECT ledger_now())) AS at FROM orders WHERE id = ANY($1)) AS new
WHERE orders.id = new.id AND orders.state = 'awaiting_payment'
