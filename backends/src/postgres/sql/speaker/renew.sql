UPDATE speaker SET epoch = epoch + 1
WHERE sale = $1 AND holder = $2 AND until > ledger_now()
RETURNING epoch
