-- The sale as it is, the time, and which of these buyers have a live order: one look into the index for each buyer. (A plain
-- `buyer = ANY` reads every order of the sale while the table has no statistics.)
SELECT
    body::text,
    ledger_now(),
    ARRAY(
        SELECT asked.buyer FROM unnest($2::text[]) AS asked (buyer)
        WHERE (
            SELECT true FROM orders
            WHERE orders.sale = $1 AND orders.buyer = asked.buyer AND orders.state NOT IN ('closed', 'refunded')
            LIMIT 1
        )
    )
FROM sale
WHERE id = $1
