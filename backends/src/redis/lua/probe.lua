-- Whether we may run scripts, write, and be told whose memory it is. KEYS: a key of no other use.
server()
redis.call('SET', KEYS[1], '1', 'PX', 1000)
redis.call('DEL', KEYS[1])
return 'OK'
