-- The latest minutes in which something happened, latest first.
WITH happened (at, what, amount) AS (
    SELECT joined_at, 'joined', 0 FROM outcome WHERE sale = ?1
    UNION ALL
    SELECT at, outcome, 0 FROM outcome WHERE sale = ?1
    UNION ALL
    SELECT order_history.at, 'order ' || order_history.state, orders.amount
    FROM order_history JOIN orders ON orders.id = order_history.order_id
    WHERE orders.sale = ?1
)
SELECT
    at / 60000 * 60000 AS minute,
    sum(what = 'joined'),
    sum(what = 'reserved'),
    sum(what = 'sold_out'),
    sum(what = 'left'),
    sum(what = 'expired'),
    sum(what = 'refused'),
    sum(what = 'order paid'),
    sum(CASE WHEN what = 'order paid' THEN amount ELSE 0 END),
    sum(what = 'order closed'),
    sum(what = 'order fulfilled'),
    sum(what = 'order failed'),
    sum(what = 'order refunded')
FROM happened
GROUP BY minute
ORDER BY minute DESC
LIMIT ?2
