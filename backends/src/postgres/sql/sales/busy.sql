-- Orders that are not final.
SELECT count(*) FROM orders WHERE sale = $1 AND state NOT IN ('closed', 'refunded', 'fulfilled')
