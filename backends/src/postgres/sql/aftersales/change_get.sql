SELECT
    hold, amount,
    ARRAY(SELECT sku FROM order_change_line AS line WHERE line.order_id = $1 ORDER BY sku),
    ARRAY(SELECT quantity FROM order_change_line AS line WHERE line.order_id = $1 ORDER BY sku),
    ARRAY(SELECT line.amount FROM order_change_line AS line WHERE line.order_id = $1 ORDER BY sku)
FROM order_change
WHERE order_id = $1
