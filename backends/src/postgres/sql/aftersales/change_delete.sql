-- Its lines go with it.
DELETE FROM order_change WHERE order_id = $1
