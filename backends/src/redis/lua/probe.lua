-- Whether we may run scripts, and every command that ours are made of, and be told whose memory it is: a user who lacks one
-- must fail here, not at the first join. KEYS: a key of no other use.
server()
local key = KEYS[1]
local commands = {
  { 'TIME' },
  { 'SET', key, '1', 'PX', 1000 }, { 'EXISTS', key }, { 'DEL', key },
  { 'HSET', key, 'field', '1' }, { 'PEXPIRE', key, 1000 }, { 'RENAME', key, key }, { 'HLEN', key },
  { 'HGET', key, 'field' }, { 'HMGET', key, 'field' }, { 'HSCAN', key, 0 }, { 'HDEL', key, 'field' }, { 'UNLINK', key },
  { 'RPUSH', key, '1' }, { 'LLEN', key }, { 'LPOP', key },
  { 'ZADD', key, 1, 'member' }, { 'ZRANGEBYSCORE', key, 2, 3 }, { 'ZREMRANGEBYSCORE', key, 2, 3 },
  { 'ZREMRANGEBYRANK', key, 0, -1 },
}
for _, command in ipairs(commands) do
  local answer = redis.pcall(unpack(command))
  local fault = type(answer) == 'table' and answer.err
  -- Servers word a missing right in scripts in two ways, both without the code it has elsewhere.
  if fault and (string.find(fault, "can't run this command", 1, true) or string.find(fault, 'ACL failure', 1, true)) then
    return redis.error_reply('NOPERM the user may not run ' .. command[1])
  end
  if fault then
    return answer
  end
end
return 'OK'
