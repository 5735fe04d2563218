-- Makes an epoch the one that speaks; a cold line begins again, if it is told where.
-- KEYS: line, settled places, strangers.
-- ARGV: epoch; and to restore: first and last number of the block, serving, rank, holes, their sum, the highest number
-- that was given out.
local epoch = tonumber(ARGV[1])
local known = redis.call('HMGET', KEYS[1], '.server', '.epoch', '.last')
-- A memory that is not to be trusted any more still tells the highest epoch and number it had heard of.
if known[2] and epoch < tonumber(known[2]) then
  return fenced()
end
even_when_full()
if known[1] == server() then
  redis.call('HSET', KEYS[1], '.epoch', epoch)
  return 'OK'
end
if #ARGV == 1 then
  return cold()
end

local from, to, serving = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local rank, holes, total = tonumber(ARGV[5]), ARGV[6], tonumber(ARGV[7])
local proven = math.max(serving, tonumber(known[3] or 0), tonumber(ARGV[8]))
local last = math.max(proven, from - 1)
local highest = 0
if #holes > 0 then
  highest = struct.unpack('>I8', holes, #holes - 7)
end
-- What is skipped is a hole, above every hole that is known.
if last > proven and highest <= proven then
  holes = holes .. struct.pack('>I8I8', proven + 1, last)
  total = total + last - proven
end
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3])
redis.call('HSET', KEYS[1], '.server', server(), '.epoch', epoch, '.serving', serving, '.rank', rank, '.holes', holes,
  '.holes_total', total, '.last', last, '.high_water', to, '.called', 0, '.standby', 0)
return 'OK'
