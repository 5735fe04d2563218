-- Moves the cursor forward. KEYS: line. ARGV: epoch, serving, rank, holes, their sum.
if not is_warm() then
  return cold()
end
if tonumber(ARGV[1]) < about.epoch then
  return fenced()
end
local serving = tonumber(ARGV[2])
if serving >= about.serving then
  even_when_full()
  redis.call('HSET', KEYS[1], '.serving', serving, '.rank', ARGV[3], '.holes', ARGV[4], '.holes_total', ARGV[5],
    '.last', math.max(about.last, serving))
end
return 'OK'
