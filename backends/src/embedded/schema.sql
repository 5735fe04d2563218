-- The embedded store, version 7. Ids are UUIDs of 16 bytes; times are milliseconds since the Unix epoch; `sale` and `sku`
-- are slugs. What the domain promises is a constraint here, so that it holds when all else lies.

CREATE TABLE sale (
    id TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- no-oversell: available + owed + held + sold = total, none negative.
CREATE TABLE stock (
    sale TEXT NOT NULL,
    sku TEXT NOT NULL,
    total INTEGER NOT NULL,
    available INTEGER NOT NULL CHECK (available >= 0),
    owed INTEGER NOT NULL DEFAULT 0 CHECK (owed >= 0),
    held INTEGER NOT NULL DEFAULT 0 CHECK (held >= 0),
    sold INTEGER NOT NULL DEFAULT 0 CHECK (sold >= 0),
    -- Sold and given back, ever: the gate counts these on top.
    returned INTEGER NOT NULL DEFAULT 0 CHECK (returned >= 0),
    PRIMARY KEY (sale, sku),
    CHECK (available + owed + held + sold = total)
) STRICT, WITHOUT ROWID;

-- Who speaks for a sale's line, which numbers were handed out, how far the cursor has come. Outlives its sale, so that
-- numbers and epochs never repeat.
CREATE TABLE speaker (
    sale TEXT PRIMARY KEY,
    holder TEXT,
    until INTEGER NOT NULL DEFAULT 0,
    epoch INTEGER NOT NULL DEFAULT 0,
    high_water INTEGER NOT NULL DEFAULT 0,
    serving INTEGER NOT NULL DEFAULT 0,
    holes TEXT NOT NULL DEFAULT '[]',
    given_out INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TRIGGER speaker_never_goes_back BEFORE UPDATE ON speaker
WHEN NEW.epoch < OLD.epoch OR NEW.high_water < OLD.high_water OR NEW.serving < OLD.serving
BEGIN
    SELECT RAISE(ABORT, 'epochs, numbers and cursors never go back');
END;

-- The journal of joins: the sales whose queue exists, and the entries that wait. A row is one message: all that one offer
-- brought, as JSON, because a row for each entry costs a crowd five times as much.
CREATE TABLE waiting_queue (
    sale TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE waiting (
    id INTEGER PRIMARY KEY,
    sale TEXT NOT NULL,
    entries INTEGER NOT NULL CHECK (entries > 0),
    body TEXT NOT NULL
) STRICT;

CREATE INDEX waiting_sale ON waiting (sale, id, entries);

-- The journal of turns: called entries that no worker has settled, and those that were buried. An entry that was released
-- twice is here twice: the effect is made once, by its outcome.
CREATE TABLE turn (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sale TEXT NOT NULL,
    entry BLOB NOT NULL CHECK (length(entry) = 16),
    buyer TEXT NOT NULL,
    seq INTEGER NOT NULL,
    holes_below INTEGER NOT NULL,
    basket TEXT NOT NULL,
    joined_at INTEGER NOT NULL,
    address TEXT,
    reach TEXT,
    epoch INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    called_at INTEGER NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    due_at INTEGER,
    buried_at INTEGER,
    reason TEXT
) STRICT;

CREATE INDEX turn_entry ON turn (entry);

-- An outcome is final: the first one wins. `told` is the outbox: whether the bulletin has carried it.
CREATE TABLE outcome (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    entry BLOB NOT NULL UNIQUE CHECK (length(entry) = 16),
    sale TEXT NOT NULL,
    buyer TEXT NOT NULL,
    seq INTEGER NOT NULL,
    holes_below INTEGER NOT NULL,
    joined_at INTEGER NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('reserved', 'sold_out', 'left', 'expired', 'refused')),
    reason TEXT NOT NULL CHECK (reason IN ('plain', 'duplicate', 'over_limit', 'banned', 'closed')),
    at INTEGER NOT NULL,
    told INTEGER NOT NULL DEFAULT 0 CHECK (told IN (0, 1))
) STRICT;

CREATE INDEX outcome_sale ON outcome (sale, seq);
CREATE INDEX outcome_untold ON outcome (number) WHERE told = 0;

CREATE TRIGGER outcome_is_final BEFORE UPDATE OF entry, sale, buyer, seq, outcome, reason, at ON outcome
BEGIN
    SELECT RAISE(ABORT, 'an outcome is final');
END;

-- Who stands by, until there is an outcome.
CREATE TABLE standby (
    entry BLOB NOT NULL PRIMARY KEY CHECK (length(entry) = 16),
    sale TEXT NOT NULL,
    buyer TEXT NOT NULL,
    -- The number it had in line, if it had one.
    seq INTEGER NOT NULL,
    holes_below INTEGER NOT NULL,
    basket TEXT NOT NULL,
    units INTEGER NOT NULL,
    joined_at INTEGER NOT NULL,
    address TEXT,
    reach TEXT,
    -- `joined_at`, or before it for who has a head start.
    since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One of each buyer.
CREATE UNIQUE INDEX standby_buyer ON standby (sale, buyer);
CREATE INDEX standby_order ON standby (sale, since, units, entry);

CREATE TRIGGER outcome_ends_standby AFTER INSERT ON outcome
BEGIN
    DELETE FROM standby WHERE entry = NEW.entry;
END;

-- A hold belongs to one order because its movement `held` is written with the order: an index of its own would only cost,
-- since the ids of holds are random.
CREATE TABLE orders (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    sale TEXT NOT NULL,
    entry BLOB NOT NULL UNIQUE REFERENCES outcome (entry),
    buyer TEXT NOT NULL,
    hold BLOB NOT NULL CHECK (length(hold) = 16),
    state TEXT NOT NULL CHECK (state IN ('awaiting_payment', 'closing', 'closed', 'paid', 'fulfilling', 'fulfilled',
        'failed', 'refunding', 'refunded', 'changing')),
    version INTEGER NOT NULL,
    closing_cause TEXT CHECK (closing_cause IN ('deadline', 'cancelled')),
    amount INTEGER NOT NULL,
    currency TEXT NOT NULL,
    units INTEGER NOT NULL CHECK (units > 0),
    pay_by INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    -- How its buyer is told, as JSON.
    reach TEXT
) STRICT, WITHOUT ROWID;

-- no-double-order: one live order of a buyer in a sale.
CREATE UNIQUE INDEX orders_one_live ON orders (sale, buyer) WHERE state NOT IN ('closed', 'refunded');
CREATE INDEX orders_state ON orders (sale, state);
CREATE INDEX orders_deadline ON orders (pay_by) WHERE state = 'awaiting_payment';
CREATE INDEX orders_unfinished ON orders (changed_at) WHERE state IN ('closing', 'paid', 'fulfilling', 'changing');

CREATE TRIGGER orders_move_forward BEFORE UPDATE ON orders WHEN NEW.version <= OLD.version
BEGIN
    SELECT RAISE(ABORT, 'an order only moves forward');
END;

-- A seat is a line of its own; `place` counts the lines. `seat_no` is its place in the sale's list, `seat` its
-- label at the time.
CREATE TABLE order_line (
    order_id BLOB NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    sku TEXT NOT NULL,
    place INTEGER NOT NULL DEFAULT 0,
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    amount INTEGER NOT NULL,
    refunded INTEGER NOT NULL DEFAULT 0 CHECK (refunded BETWEEN 0 AND quantity),
    from_stop INTEGER CHECK (from_stop >= 0),
    to_stop INTEGER CHECK (to_stop > from_stop AND to_stop <= 64),
    seat_no INTEGER CHECK (seat_no IS NULL OR seat_no >= 0 AND quantity = 1 AND to_stop IS NOT NULL),
    seat TEXT,
    PRIMARY KEY (order_id, sku, place),
    CHECK ((from_stop IS NULL) = (to_stop IS NULL) AND (seat_no IS NULL) = (seat IS NULL))
) STRICT, WITHOUT ROWID;

-- no-oversell, for seats: who is held or sold a seat on a leg. A release deletes its rows.
CREATE TABLE seat_leg (
    sale TEXT NOT NULL,
    sku TEXT NOT NULL,
    seat INTEGER NOT NULL CHECK (seat >= 0),
    leg INTEGER NOT NULL CHECK (leg BETWEEN 0 AND 63),
    order_id BLOB NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    hold BLOB NOT NULL CHECK (length(hold) = 16),
    PRIMARY KEY (sale, sku, seat, leg)
) STRICT, WITHOUT ROWID;

CREATE INDEX seat_leg_order ON seat_leg (order_id);

CREATE TABLE order_history (
    order_id BLOB NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    version INTEGER NOT NULL,
    state TEXT NOT NULL,
    at INTEGER NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (order_id, version)
) STRICT, WITHOUT ROWID;

-- What became of each hold, append-only: held once, and then either sold or released once.
CREATE TABLE movement (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sale TEXT NOT NULL,
    hold BLOB NOT NULL CHECK (length(hold) = 16),
    kind TEXT NOT NULL CHECK (kind IN ('held', 'sold', 'released')),
    at INTEGER NOT NULL,
    UNIQUE (hold, kind)
) STRICT;

CREATE UNIQUE INDEX movement_one_end ON movement (hold) WHERE kind IN ('sold', 'released');

CREATE TRIGGER movement_is_append_only BEFORE UPDATE ON movement
BEGIN
    SELECT RAISE(ABORT, 'a movement is never changed');
END;

-- Turns that were left to the shop's own order backend and have no outcome yet. `released_at` is the last time.
CREATE TABLE shop_turn (
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

CREATE INDEX shop_turn_released ON shop_turn (released_at, seq) WHERE given_up = 0;

-- Orders that the shop made: what it calls them, and where their buyers go. Never changed.
CREATE TABLE shop_order (
    order_id BLOB NOT NULL PRIMARY KEY REFERENCES orders (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    link TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE payment (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    order_id BLOB NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    provider TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'succeeded', 'failed', 'closed', 'refunded')),
    version INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    currency TEXT NOT NULL,
    surplus INTEGER NOT NULL DEFAULT 0 CHECK (surplus IN (0, 1)),
    -- What its refunds come to, pending and done: never more than was paid.
    refunding INTEGER NOT NULL DEFAULT 0 CHECK (refunding BETWEEN 0 AND amount),
    changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One live payment of an order, and one that pays it: any other success is surplus.
CREATE UNIQUE INDEX payment_one_pending ON payment (order_id) WHERE state = 'pending';
CREATE UNIQUE INDEX payment_one_success ON payment (order_id) WHERE state = 'succeeded' AND surplus = 0;
CREATE INDEX payment_order ON payment (order_id);

CREATE TRIGGER payments_move_forward BEFORE UPDATE ON payment WHEN NEW.version < OLD.version
BEGIN
    SELECT RAISE(ABORT, 'the version of a payment only moves forward');
END;

-- After the sale.

CREATE TRIGGER stock_returns_stay BEFORE UPDATE OF returned ON stock WHEN NEW.returned < OLD.returned
BEGIN
    SELECT RAISE(ABORT, 'what came back is never taken out of the count');
END;

-- Money on its way back, and back: the outbox to the payment provider.
CREATE TABLE refund (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    order_id BLOB NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    payment BLOB NOT NULL REFERENCES payment (id) ON DELETE CASCADE,
    amount INTEGER NOT NULL CHECK (amount >= 0),
    currency TEXT NOT NULL,
    scope TEXT NOT NULL CHECK (scope IN ('order', 'items', 'money')),
    items TEXT,
    cause TEXT NOT NULL
        CHECK (cause IN ('cancelled', 'late', 'surplus', 'failed', 'requested', 'changed', 'provider')),
    state TEXT NOT NULL CHECK (state IN ('pending', 'done')),
    tries INTEGER NOT NULL DEFAULT 0,
    due_at INTEGER NOT NULL,
    begun_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX refund_due ON refund (due_at) WHERE state = 'pending';
CREATE INDEX refund_order ON refund (order_id);
CREATE INDEX refund_payment ON refund (payment);

CREATE TRIGGER refund_is_recorded BEFORE UPDATE ON refund
WHEN OLD.state = 'done' OR NEW.amount <> OLD.amount OR NEW.payment <> OLD.payment OR NEW.order_id <> OLD.order_id
BEGIN
    SELECT RAISE(ABORT, 'a refund is never changed, and done once');
END;

-- What orders that are `changing` are to become: the goods that are held for them.
CREATE TABLE order_change (
    order_id BLOB NOT NULL PRIMARY KEY REFERENCES orders (id) ON DELETE CASCADE,
    hold BLOB NOT NULL CHECK (length(hold) = 16),
    amount INTEGER NOT NULL,
    basket TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE simulated_payment (
    payment BLOB NOT NULL PRIMARY KEY CHECK (length(payment) = 16),
    order_id BLOB NOT NULL,
    amount INTEGER NOT NULL,
    currency TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'succeeded', 'failed', 'closed', 'refunded')),
    refunded INTEGER NOT NULL DEFAULT 0 CHECK (refunded BETWEEN 0 AND amount),
    told INTEGER NOT NULL DEFAULT 0 CHECK (told IN (0, 1)),
    changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX simulated_payment_untold ON simulated_payment (changed_at)
WHERE told = 0 AND state IN ('succeeded', 'failed', 'refunded');
CREATE INDEX simulated_payment_order ON simulated_payment (order_id);

-- Each time it gave money back. A repeat finds its own row.
CREATE TABLE simulated_refund (
    refund BLOB NOT NULL PRIMARY KEY CHECK (length(refund) = 16),
    payment BLOB NOT NULL REFERENCES simulated_payment (payment) ON DELETE CASCADE,
    amount INTEGER NOT NULL CHECK (amount > 0),
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX simulated_refund_payment ON simulated_refund (payment);

CREATE TABLE idempotency (
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    body BLOB NOT NULL CHECK (length(body) = 32),
    at INTEGER NOT NULL,
    PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_age ON idempotency (at);

-- Who did what. A chain: each row carries the hash of the one before.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    author TEXT NOT NULL,
    verb TEXT NOT NULL,
    subject TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    result TEXT NOT NULL,
    reason TEXT,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL
) STRICT;

CREATE TRIGGER audit_is_append_only BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit log is never changed');
END;

CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit log is never shortened');
END;

CREATE TABLE ban (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    rule TEXT NOT NULL UNIQUE,
    reason TEXT,
    at INTEGER NOT NULL
) STRICT;

-- Counts the changes of the list of bans.
CREATE TABLE ban_list (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    version INTEGER NOT NULL
) STRICT;

INSERT INTO ban_list (only_row, version) VALUES (1, 0);

-- Keys that are no longer compared, for whoever looks into an old complaint.
CREATE TABLE idempotency_archive (
    id INTEGER PRIMARY KEY,
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    body BLOB NOT NULL CHECK (length(body) = 32),
    at INTEGER NOT NULL,
    archived_at INTEGER NOT NULL
) STRICT;

CREATE INDEX idempotency_archive_age ON idempotency_archive (archived_at);

-- What one process at a time does for a sale.
CREATE TABLE duty (
    sale TEXT NOT NULL,
    duty TEXT NOT NULL,
    holder TEXT NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (sale, duty)
) STRICT, WITHOUT ROWID;

-- What the last reconciliation of a sale found, as JSON.
CREATE TABLE reconciliation (
    sale TEXT PRIMARY KEY,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- When a place was last taken to another device: what was held before that proves nothing any more. `name` tells a repeat of a
-- move from another one.
CREATE TABLE place_move (
    entry BLOB PRIMARY KEY CHECK (length(entry) = 16),
    sale TEXT NOT NULL,
    at INTEGER NOT NULL,
    name BLOB NOT NULL CHECK (length(name) = 16)
) STRICT, WITHOUT ROWID;

CREATE INDEX place_move_sale ON place_move (sale);
CREATE INDEX place_move_at ON place_move (at);
