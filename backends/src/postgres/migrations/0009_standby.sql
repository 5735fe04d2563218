-- Who stands by, until there is an outcome.
CREATE TABLE standby (
    entry uuid PRIMARY KEY,
    sale text COLLATE "C" NOT NULL,
    buyer text COLLATE "C" NOT NULL,
    basket text COLLATE "C" NOT NULL,
    units integer NOT NULL,
    joined_at bigint NOT NULL,
    address text COLLATE "C",
    reach text COLLATE "C"
) WITH (autovacuum_vacuum_scale_factor = 0.02);

-- One of each buyer.
CREATE UNIQUE INDEX standby_buyer ON standby (sale, buyer);
CREATE INDEX standby_order ON standby (sale, joined_at, units, entry);

-- How the buyer of an order is told, as JSON.
ALTER TABLE orders ADD COLUMN reach text COLLATE "C";
