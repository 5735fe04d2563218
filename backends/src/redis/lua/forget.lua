-- Forgets a part of a sale, and what both parts share once the other is gone too.
-- KEYS: what to forget first, the other part, then what is to be forgotten with the first, then `ARGV[1]` shared keys.
local shared = tonumber(ARGV[1])
redis.call('UNLINK', KEYS[1], unpack(KEYS, 3, #KEYS - shared))
if redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('UNLINK', unpack(KEYS, #KEYS - shared + 1))
end
return 'OK'
