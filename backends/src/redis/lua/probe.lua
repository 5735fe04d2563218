-- Whether we may run scripts and write. KEYS: a key of no other use.
redis.call('SET', KEYS[1], '1', 'PX', 1000)
redis.call('DEL', KEYS[1])
return 'OK'
