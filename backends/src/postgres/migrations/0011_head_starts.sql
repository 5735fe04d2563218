-- Since when each stands by: `joined_at`, or before it for who has a head start.
ALTER TABLE standby ADD COLUMN since bigint;
UPDATE standby SET since = joined_at;
ALTER TABLE standby ALTER COLUMN since SET NOT NULL;

DROP INDEX standby_order;
CREATE INDEX standby_order ON standby (sale, since, units, entry);
