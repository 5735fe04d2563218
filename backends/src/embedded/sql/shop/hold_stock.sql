-- Goods that the shop has set aside: they come on top of what it says is left.
UPDATE stock SET total = total + ?3, held = held + ?3 WHERE sale = ?1 AND sku = ?2
