DELETE FROM waiting_queue WHERE sale = ?1
