SELECT state, count(*) FROM orders WHERE sale = $1 GROUP BY state ORDER BY state
