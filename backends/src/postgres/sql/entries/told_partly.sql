-- Of those that were written together, the first and some others are told. (Others alone are announced once more with it: to look
-- for them would mean to read the whole outbox.)
UPDATE outbox
SET entries = ARRAY(SELECT entry FROM unnest(entries) WITH ORDINALITY AS one (entry, place) WHERE entry <> ALL($1) ORDER BY place)
WHERE first = ANY($1) AND NOT entries <@ $1
