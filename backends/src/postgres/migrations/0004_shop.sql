-- Turns that were left to the shop's own order backend and have no outcome yet. `released_at` is the last time.
CREATE TABLE shop_turn (
    entry uuid PRIMARY KEY,
    sale text COLLATE "C" NOT NULL,
    buyer text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    holes_below bigint NOT NULL,
    basket text COLLATE "C" NOT NULL,
    joined_at bigint NOT NULL,
    epoch bigint NOT NULL,
    attempt integer NOT NULL CHECK (attempt > 0),
    called_at bigint NOT NULL,
    released_at bigint NOT NULL,
    given_up boolean NOT NULL DEFAULT false
);

CREATE INDEX shop_turn_released ON shop_turn (released_at, seq) WHERE NOT given_up;
CREATE INDEX shop_turn_sale ON shop_turn (sale, released_at) WHERE NOT given_up;

-- Orders that the shop made: what it calls them, and where their buyers go. Never changed.
CREATE TABLE shop_order (
    order_id uuid PRIMARY KEY REFERENCES orders (id) ON DELETE CASCADE,
    name text COLLATE "C" NOT NULL,
    link text
);
