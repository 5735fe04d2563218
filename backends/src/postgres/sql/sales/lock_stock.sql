-- Whoever holds orders of this sale locks its stock first, in this order.
SELECT sku FROM stock WHERE sale = $1 ORDER BY sku FOR UPDATE
