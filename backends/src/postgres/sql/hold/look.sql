-- The sale as it is, the time, and which of these buyers have a live order.
SELECT
    body::text,
    ledger_now(),
    ARRAY(
        SELECT buyer FROM orders
        WHERE sale = $1 AND buyer = ANY($2) AND state NOT IN ('closed', 'refunded')
    )
FROM sale
WHERE id = $1
