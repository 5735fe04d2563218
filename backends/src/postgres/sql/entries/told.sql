-- Of those that were written together, all are told. How many they were.
WITH told AS (
    DELETE FROM outbox WHERE first = ANY($1) AND entries <@ $1 RETURNING cardinality(entries) AS entries
)
SELECT coalesce(sum(entries), 0)::bigint FROM told
