-- What the ledger itself says about a sale when all is over: each line a promise that was broken, and how often. It does not rely on
-- what the constraints forbid.
WITH seen (promise, times, what) AS (
    SELECT 'no-lost-place', count(*), 'entries have more than one outcome'
    FROM (SELECT FROM outcome WHERE sale = :'sale' GROUP BY entry HAVING count(*) > 1) AS twice
    UNION ALL
    SELECT 'no-double-order', count(*), 'entries have more than one order'
    FROM (SELECT FROM orders WHERE sale = :'sale' GROUP BY entry HAVING count(*) > 1) AS twice
    UNION ALL
    SELECT 'no-double-order', count(*), 'buyers have more than one live order'
    FROM (
        SELECT FROM orders WHERE sale = :'sale' AND state NOT IN ('closed', 'refunded') GROUP BY buyer HAVING count(*) > 1
    ) AS twice
    UNION ALL
    SELECT 'no-oversell', count(*), 'holds were set aside, sold or released more than once'
    FROM (
        SELECT FROM movement WHERE sale = :'sale' GROUP BY hold, kind = 'held' HAVING count(*) > 1
    ) AS twice
    UNION ALL
    SELECT 'no-oversell', count(*), 'balances do not add up'
    FROM stock
    WHERE sale = :'sale' AND (least(available, owed, held, sold) < 0 OR available + owed + held + sold <> total)
    UNION ALL
    SELECT 'no-oversell', count(*), 'balances are not what the orders come to'
    FROM stock
    LEFT JOIN (
        SELECT
            line.sku,
            sum(line.quantity) FILTER (WHERE orders.state IN ('awaiting_payment', 'closing')) AS held,
            sum(line.quantity - coalesce(line.refunded, 0)) FILTER (WHERE orders.state IN ('paid', 'fulfilling', 'fulfilled')) AS sold
        FROM orders, json_to_recordset(orders.lines) AS line (sku text, quantity integer, refunded integer)
        WHERE orders.sale = :'sale'
        GROUP BY line.sku
    ) AS ordered ON ordered.sku = stock.sku
    WHERE stock.sale = :'sale' AND (stock.held, stock.sold) <> (coalesce(ordered.held, 0), coalesce(ordered.sold, 0))
    UNION ALL
    SELECT 'no-swallowed-money', count(*), 'orders keep the money of more than one payment'
    FROM (
        SELECT FROM payment JOIN orders ON orders.id = payment.order_id
        WHERE orders.sale = :'sale' AND payment.state = 'succeeded' AND NOT payment.surplus
        GROUP BY orders.id
        HAVING count(*) > 1
    ) AS twice
)
SELECT promise, times || ' ' || what || ', says the ledger' FROM seen WHERE times > 0;
