-- All of it went back.
UPDATE payment SET state = 'refunded', changed_at = $2
WHERE id = $1 AND state = 'succeeded' AND refunding = amount
    AND NOT EXISTS (SELECT 1 FROM refund WHERE refund.payment = payment.id AND refund.state = 'pending')
