DELETE FROM shop_turn WHERE sale = ?1
