-- In the order of their ids: two batches wait for each other in a queue, never in a ring.
SELECT id FROM orders WHERE id = ANY($1) ORDER BY id FOR UPDATE
