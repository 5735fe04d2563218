-- One writer at a time, to the end of its transaction: the key is the table's own number. Taken last, after every other lock.
SELECT pg_advisory_xact_lock('audit'::regclass::oid::bigint)
