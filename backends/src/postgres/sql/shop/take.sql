-- A turn that is reported on, once.
DELETE FROM shop_turn WHERE entry = $1
RETURNING entry, sale, buyer, seq, holes_below, basket, joined_at, epoch, attempt, called_at
