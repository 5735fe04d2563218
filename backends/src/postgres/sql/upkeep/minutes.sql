-- The latest minutes in which something happened, latest first.
WITH happened (at, what, amount) AS (
    SELECT joined_at, 'joined', 0::bigint FROM outcome WHERE sale = $1
    UNION ALL
    SELECT at, outcome, 0 FROM outcome WHERE sale = $1
    UNION ALL
    SELECT split_part(change, ' ', 2)::bigint, 'order ' || split_part(change, ' ', 1), orders.amount
    FROM orders CROSS JOIN unnest(orders.history) AS change
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
