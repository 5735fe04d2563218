-- Takes away what carries the promises in the ledger: what is unique, what is checked, what only moves forward. The indexes stay, without
-- the word UNIQUE, so that the same statements are as fast as before.
DO $$
DECLARE
    guarded CONSTANT regclass[] := ARRAY['stock', 'outcome', 'orders', 'movement', 'payment', 'refund']::regclass[];
    found record;
BEGIN
    FOR found IN
        SELECT tgrelid::regclass AS place, tgname AS name
        FROM pg_trigger
        WHERE tgrelid = ANY (guarded) AND NOT tgisinternal
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', found.name, found.place);
    END LOOP;
    FOR found IN
        SELECT conrelid::regclass AS place, conname AS name
        FROM pg_constraint
        WHERE conrelid = ANY (guarded) AND contype IN ('c', 'f')
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', found.place, found.name);
    END LOOP;
    FOR found IN
        SELECT index.indrelid::regclass AS place, index.indexrelid::regclass AS name, kept.conname AS kept,
            replace(pg_get_indexdef(index.indexrelid), 'CREATE UNIQUE INDEX', 'CREATE INDEX') AS made
        FROM pg_index AS index
        LEFT JOIN pg_constraint AS kept ON kept.conindid = index.indexrelid AND kept.contype IN ('p', 'u')
        WHERE index.indrelid = ANY (guarded) AND index.indisunique
    LOOP
        IF found.kept IS NULL THEN
            EXECUTE format('DROP INDEX %s', found.name);
        ELSE
            EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE', found.place, found.kept);
        END IF;
        EXECUTE found.made;
    END LOOP;
END $$;
