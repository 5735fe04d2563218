-- Buried ones; a turn in the queue whose entry has its outcome is left to its worker.
DELETE FROM turn WHERE sale = ?1 AND buried_at IS NOT NULL
