-- The sale as it is, whether a buyer has a live order, and what can be held.
SELECT
    (SELECT body::text FROM sale WHERE id = $1),
    EXISTS (
        SELECT 1 FROM orders
        WHERE orders.sale = $1 AND orders.buyer = $2 AND orders.state NOT IN ('closed', 'refunded')
    ),
    ARRAY(SELECT sku FROM stock WHERE sale = $1 ORDER BY sku),
    ARRAY(SELECT available FROM stock WHERE sale = $1 ORDER BY sku)
