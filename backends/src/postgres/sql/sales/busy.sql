-- Orders that are not final, or whose money is on its way back; and entries that stand by.
SELECT
    (
        SELECT count(*) FROM orders
        WHERE sale = $1 AND (
            state NOT IN ('closed', 'refunded', 'fulfilled')
            OR EXISTS (SELECT 1 FROM refund WHERE refund.order_id = orders.id AND refund.state = 'pending')
        )
    ),
    (
        SELECT count(*) FROM standby
        WHERE sale = $1 AND NOT EXISTS (SELECT 1 FROM outcome WHERE outcome.entry = standby.entry)
    )
