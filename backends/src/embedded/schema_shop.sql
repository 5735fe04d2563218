-- The book of the shop. Laid whenever the file is opened: files of this version that were made before it lack it.

-- Turns that were left to the shop's own order backend and have no outcome yet. `released_at` is the last time.
CREATE TABLE IF NOT EXISTS shop_turn (
    entry BLOB NOT NULL PRIMARY KEY CHECK (length(entry) = 16),
    sale TEXT NOT NULL,
    buyer TEXT NOT NULL,
    seq INTEGER NOT NULL,
    holes_below INTEGER NOT NULL,
    basket TEXT NOT NULL,
    joined_at INTEGER NOT NULL,
    address TEXT,
    epoch INTEGER NOT NULL,
    attempt INTEGER NOT NULL CHECK (attempt > 0),
    called_at INTEGER NOT NULL,
    released_at INTEGER NOT NULL,
    given_up INTEGER NOT NULL DEFAULT 0 CHECK (given_up IN (0, 1))
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS shop_turn_released ON shop_turn (released_at, seq) WHERE given_up = 0;

-- Orders that the shop made: what it calls them, and where their buyers go. Never changed.
CREATE TABLE IF NOT EXISTS shop_order (
    order_id BLOB NOT NULL PRIMARY KEY REFERENCES orders (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    link TEXT
) STRICT, WITHOUT ROWID;
