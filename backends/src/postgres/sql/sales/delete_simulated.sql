DELETE FROM simulated_payment USING orders WHERE orders.sale = $1 AND simulated_payment.order_id = orders.id
