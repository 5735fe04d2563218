-- With what hangs on them; refunds go with their payments.
WITH gone AS (
    DELETE FROM orders WHERE sale = $1 RETURNING id
), payments AS (
    DELETE FROM payment USING gone WHERE payment.order_id = gone.id
), names AS (
    DELETE FROM shop_order USING gone WHERE shop_order.order_id = gone.id
)
DELETE FROM order_change USING gone WHERE order_change.order_id = gone.id
