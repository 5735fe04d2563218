-- The ledger. Times are milliseconds since the Unix epoch, by this server's clock; `sale` and `sku` are slugs. What the
-- domain promises is a constraint here, so that it holds when all else lies. Texts sort by their bytes ("C"), as the
-- program sorts them: rows are locked in that order.

-- The one clock that stamps and compares. It goes on within a transaction.
CREATE FUNCTION ledger_now() RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint
$$;

-- What must never be done to a row, whoever tries.
CREATE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', MESSAGE = TG_ARGV[0];
END
$$;

CREATE TABLE sale (
    id text COLLATE "C" PRIMARY KEY,
    version bigint NOT NULL,
    body json NOT NULL
);

-- no-oversell: available + owed + held + sold = total, none negative. Changed with every batch of orders: room on the page
-- keeps the changes there.
CREATE TABLE stock (
    sale text COLLATE "C" NOT NULL,
    sku text COLLATE "C" NOT NULL,
    total bigint NOT NULL,
    available bigint NOT NULL CHECK (available >= 0),
    owed bigint NOT NULL DEFAULT 0 CHECK (owed >= 0),
    held bigint NOT NULL DEFAULT 0 CHECK (held >= 0),
    sold bigint NOT NULL DEFAULT 0 CHECK (sold >= 0),
    PRIMARY KEY (sale, sku),
    CONSTRAINT stock_adds_up CHECK (available + owed + held + sold = total)
) WITH (fillfactor = 20);

-- Who speaks for a sale's line, which numbers were handed out, how far the cursor has come. Outlives its sale, so that
-- numbers and epochs never repeat.
CREATE TABLE speaker (
    sale text COLLATE "C" PRIMARY KEY,
    holder text COLLATE "C",
    until bigint NOT NULL DEFAULT 0,
    epoch bigint NOT NULL DEFAULT 0,
    high_water bigint NOT NULL DEFAULT 0,
    serving bigint NOT NULL DEFAULT 0,
    holes json NOT NULL DEFAULT '[]'
) WITH (fillfactor = 20);

CREATE TRIGGER speaker_never_goes_back BEFORE UPDATE ON speaker FOR EACH ROW
WHEN (NEW.epoch < OLD.epoch OR NEW.high_water < OLD.high_water OR NEW.serving < OLD.serving)
EXECUTE FUNCTION ledger_refuse('epochs, numbers and cursors never go back');

-- An outcome is final: the first one wins.
CREATE TABLE outcome (
    entry uuid PRIMARY KEY,
    number bigint GENERATED ALWAYS AS IDENTITY,
    sale text COLLATE "C" NOT NULL,
    buyer text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    holes_below bigint NOT NULL,
    joined_at bigint NOT NULL,
    outcome text COLLATE "C" NOT NULL
        CHECK (outcome IN ('reserved', 'sold_out', 'left', 'expired', 'refused')),
    reason text COLLATE "C" NOT NULL
        CHECK (reason IN ('plain', 'duplicate', 'over_limit', 'banned', 'closed')),
    at bigint NOT NULL
);

CREATE INDEX outcome_sale ON outcome (sale);

CREATE TRIGGER outcome_is_final BEFORE UPDATE ON outcome FOR EACH ROW
EXECUTE FUNCTION ledger_refuse('an outcome is final');

-- The outbox: outcomes that the bulletin has not carried yet, by their number. Written with the outcome.
CREATE TABLE outbox (
    number bigint PRIMARY KEY,
    entry uuid NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02);

CREATE TABLE orders (
    id uuid PRIMARY KEY,
    sale text COLLATE "C" NOT NULL,
    entry uuid NOT NULL UNIQUE,
    buyer text COLLATE "C" NOT NULL,
    hold uuid NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN ('awaiting_payment', 'closing', 'closed', 'paid', 'fulfilling',
        'fulfilled', 'failed', 'refunding', 'refunded', 'changing')),
    version bigint NOT NULL,
    closing_cause text COLLATE "C" CHECK (closing_cause IN ('deadline', 'cancelled')),
    amount bigint NOT NULL,
    currency text COLLATE "C" NOT NULL,
    units integer NOT NULL CHECK (units > 0),
    pay_by bigint NOT NULL,
    changed_at bigint NOT NULL
);

-- no-double-order: one live order of a buyer in a sale.
CREATE UNIQUE INDEX orders_one_live ON orders (sale, buyer) WHERE state NOT IN ('closed', 'refunded');
CREATE INDEX orders_state ON orders (sale, state);
CREATE INDEX orders_deadline ON orders (pay_by) WHERE state = 'awaiting_payment';
CREATE INDEX orders_unfinished ON orders (changed_at) WHERE state IN ('closing', 'paid', 'fulfilling');

CREATE TRIGGER orders_move_forward BEFORE UPDATE ON orders FOR EACH ROW
WHEN (NEW.version <= OLD.version)
EXECUTE FUNCTION ledger_refuse('an order only moves forward');

CREATE TABLE order_line (
    order_id uuid NOT NULL,
    sku text COLLATE "C" NOT NULL,
    quantity integer NOT NULL CHECK (quantity > 0),
    amount bigint NOT NULL,
    PRIMARY KEY (order_id, sku)
);

CREATE TABLE order_history (
    order_id uuid NOT NULL,
    version bigint NOT NULL,
    state text COLLATE "C" NOT NULL,
    at bigint NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (order_id, version)
);

CREATE TRIGGER order_history_is_append_only BEFORE UPDATE ON order_history FOR EACH ROW
EXECUTE FUNCTION ledger_refuse('history is never changed');

-- What became of each hold, append-only: held once, and then either sold or released once.
CREATE TABLE movement (
    number bigint GENERATED ALWAYS AS IDENTITY,
    sale text COLLATE "C" NOT NULL,
    hold uuid NOT NULL,
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('held', 'sold', 'released')),
    at bigint NOT NULL,
    PRIMARY KEY (hold, kind)
);

CREATE UNIQUE INDEX movement_one_end ON movement (hold) WHERE kind IN ('sold', 'released');

CREATE TRIGGER movement_is_append_only BEFORE UPDATE ON movement FOR EACH ROW
EXECUTE FUNCTION ledger_refuse('a movement is never changed');

CREATE TABLE payment (
    id uuid PRIMARY KEY,
    order_id uuid NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    provider text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN ('pending', 'succeeded', 'failed', 'closed', 'refunded')),
    version bigint NOT NULL,
    amount bigint NOT NULL,
    currency text COLLATE "C" NOT NULL,
    surplus boolean NOT NULL DEFAULT false,
    changed_at bigint NOT NULL
);

-- One live payment of an order, and one that pays it: any other success is surplus.
CREATE UNIQUE INDEX payment_one_pending ON payment (order_id) WHERE state = 'pending';
CREATE UNIQUE INDEX payment_one_success ON payment (order_id) WHERE state = 'succeeded' AND NOT surplus;
CREATE INDEX payment_order ON payment (order_id);

CREATE TRIGGER payments_move_forward BEFORE UPDATE ON payment FOR EACH ROW
WHEN (NEW.version < OLD.version)
EXECUTE FUNCTION ledger_refuse('the version of a payment only moves forward');

CREATE TABLE simulated_payment (
    payment uuid PRIMARY KEY,
    order_id uuid NOT NULL,
    amount bigint NOT NULL,
    currency text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN ('open', 'succeeded', 'failed', 'closed')),
    told boolean NOT NULL DEFAULT false,
    changed_at bigint NOT NULL
);

CREATE INDEX simulated_payment_untold ON simulated_payment (changed_at)
WHERE NOT told AND state IN ('succeeded', 'failed');
CREATE INDEX simulated_payment_order ON simulated_payment (order_id);

CREATE TABLE idempotency (
    scope text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    body bytea NOT NULL CHECK (length(body) = 32),
    at bigint NOT NULL,
    PRIMARY KEY (scope, key)
);

CREATE INDEX idempotency_age ON idempotency (at);

-- Who did what. A chain: each row carries the hash of the one before.
CREATE TABLE audit (
    id bigint PRIMARY KEY CHECK (id > 0),
    at bigint NOT NULL,
    author json NOT NULL,
    verb text NOT NULL,
    subject text NOT NULL,
    before json NOT NULL,
    after json NOT NULL,
    result text NOT NULL,
    reason text,
    previous text COLLATE "C" NOT NULL UNIQUE,
    hash text COLLATE "C" NOT NULL
);

CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE ON audit FOR EACH ROW
EXECUTE FUNCTION ledger_refuse('the audit log is never changed');
CREATE TRIGGER audit_is_kept BEFORE TRUNCATE ON audit FOR EACH STATEMENT
EXECUTE FUNCTION ledger_refuse('the audit log is never shortened');

CREATE TABLE ban (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule text COLLATE "C" NOT NULL,
    reason text,
    at bigint NOT NULL
);

-- By a hash: a header's value may be longer than an index takes.
CREATE UNIQUE INDEX ban_once ON ban (md5(rule));

-- Counts the changes of the list of bans.
CREATE TABLE ban_list (
    only_row integer PRIMARY KEY CHECK (only_row = 1),
    version bigint NOT NULL
);

INSERT INTO ban_list (only_row, version) VALUES (1, 0);
