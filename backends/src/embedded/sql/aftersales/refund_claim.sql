UPDATE refund SET tries = tries + 1, due_at = ?2 WHERE id = ?1
