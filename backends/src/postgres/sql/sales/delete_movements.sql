DELETE FROM movement USING orders WHERE orders.sale = $1 AND movement.hold = orders.hold
