SELECT id FROM orders
WHERE state IN ('closing', 'paid', 'fulfilling', 'changing') AND changed_at <= (SELECT ledger_now()) - $1
-- Goods that are held come first: what waits for the shop may be many.
ORDER BY state IN ('paid', 'fulfilling'), changed_at, id
LIMIT $2
