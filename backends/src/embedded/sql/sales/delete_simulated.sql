DELETE FROM simulated_payment WHERE order_id IN (SELECT id FROM orders WHERE sale = ?1)
