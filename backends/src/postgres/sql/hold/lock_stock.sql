-- In key order: two batches wait for each other in a queue, never in a ring.
SELECT sku, available FROM stock WHERE sale = $1 AND sku = ANY($2) ORDER BY sku FOR UPDATE
