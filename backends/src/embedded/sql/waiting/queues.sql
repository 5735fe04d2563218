SELECT waiting_queue.sale, coalesce(sum(waiting.entries), 0), coalesce(max(waiting.id), 0)
FROM waiting_queue
LEFT JOIN waiting ON waiting.sale = waiting_queue.sale
GROUP BY waiting_queue.sale
