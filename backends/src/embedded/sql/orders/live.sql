SELECT 1 FROM orders WHERE sale = ?1 AND buyer = ?2 AND state NOT IN ('closed', 'refunded')
