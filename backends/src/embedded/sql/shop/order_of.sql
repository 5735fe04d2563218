SELECT orders.id
FROM orders
JOIN shop_order ON shop_order.order_id = orders.id
WHERE orders.entry = ?1 AND shop_order.name = ?2
