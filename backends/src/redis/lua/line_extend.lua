-- Raises the highest number that may be given out. KEYS: line. ARGV: epoch, number.
if not is_warm() then
  return cold()
end
if tonumber(ARGV[1]) < about.epoch then
  return fenced()
end
even_when_full()
redis.call('HSET', KEYS[1], '.high_water', math.max(about.high_water, tonumber(ARGV[2])))
return 'OK'
