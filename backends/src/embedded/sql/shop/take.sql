-- A turn that is reported on, once.
DELETE FROM shop_turn WHERE entry = ?1
RETURNING sale, entry, buyer, seq, holes_below, basket, joined_at, address, epoch, attempt, called_at
