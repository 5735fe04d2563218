-- The latest minutes in which something happened, latest first.
WITH happened (at, what, amount) AS (
    SELECT joined_at, 'joined', 0::bigint FROM outcome WHERE sale = $1
    UNION ALL
    SELECT at, outcome, 0 FROM outcome WHERE sale = $1
    UNION ALL
    SELECT order_history.at, 'order ' || order_history.state, orders.amount
    FROM order_history JOIN orders ON orders.id = order_history.order_id
    WHERE orders.sale = $1
)
SELECT
    at / 60000 * 60000 AS minute,
    count(*) FILTER (WHERE what = 'joined'),
    count(*) FILTER (WHERE what = 'reserved'),
    count(*) FILTER (WHERE what = 'sold_out'),
    count(*) FILTER (WHERE what = 'left'),
    count(*) FILTER (WHERE what = 'expired'),
    count(*) FILTER (WHERE what = 'refused'),
    count(*) FILTER (WHERE what = 'order paid'),
    coalesce(sum(amount) FILTER (WHERE what = 'order paid'), 0)::bigint,
    count(*) FILTER (WHERE what = 'order closed'),
    count(*) FILTER (WHERE what = 'order fulfilled'),
    count(*) FILTER (WHERE what = 'order failed'),
    count(*) FILTER (WHERE what = 'order refunded')
FROM happened
GROUP BY minute
ORDER BY minute DESC
LIMIT $2
