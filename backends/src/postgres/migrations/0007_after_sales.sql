-- After the sale: money that goes back, goods that come back, orders that are changed.

-- Units that were sold and given back, ever: the gate counts them on top of the total, since it never takes a sold unit back.
ALTER TABLE stock ADD COLUMN returned bigint NOT NULL DEFAULT 0 CHECK (returned >= 0);

CREATE TRIGGER stock_returns_stay BEFORE UPDATE OF returned ON stock FOR EACH ROW
WHEN (NEW.returned < OLD.returned)
EXECUTE FUNCTION ledger_refuse('what came back is never taken out of the count');

-- Nobody gets back more than they bought,
ALTER TABLE order_line ADD COLUMN refunded integer NOT NULL DEFAULT 0;
ALTER TABLE order_line ADD CONSTRAINT order_line_refunded CHECK (refunded BETWEEN 0 AND quantity);

-- nor more money than they paid: what the refunds of a payment come to, pending and done.
ALTER TABLE payment ADD COLUMN refunding bigint NOT NULL DEFAULT 0;
ALTER TABLE payment ADD CONSTRAINT payment_refunding CHECK (refunding BETWEEN 0 AND amount);

-- Money on its way back, and back: the outbox to the payment provider.
CREATE TABLE refund (
    id uuid PRIMARY KEY,
    order_id uuid NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    payment uuid NOT NULL REFERENCES payment (id) ON DELETE CASCADE,
    amount bigint NOT NULL CHECK (amount >= 0),
    currency text COLLATE "C" NOT NULL,
    scope text COLLATE "C" NOT NULL CHECK (scope IN ('order', 'items', 'money')),
    items text COLLATE "C",
    cause text COLLATE "C" NOT NULL
        CHECK (cause IN ('cancelled', 'late', 'surplus', 'failed', 'requested', 'changed', 'provider')),
    state text COLLATE "C" NOT NULL CHECK (state IN ('pending', 'done')),
    tries integer NOT NULL DEFAULT 0,
    due_at bigint NOT NULL,
    begun_at bigint NOT NULL
);

CREATE INDEX refund_due ON refund (due_at) WHERE state = 'pending';
CREATE INDEX refund_order ON refund (order_id);
CREATE INDEX refund_payment ON refund (payment);

CREATE TRIGGER refund_is_recorded BEFORE UPDATE ON refund FOR EACH ROW
WHEN (OLD.state = 'done' OR NEW.amount <> OLD.amount OR NEW.payment <> OLD.payment OR NEW.order_id <> OLD.order_id)
EXECUTE FUNCTION ledger_refuse('a refund is never changed, and done once');

-- What orders that are `changing` are to become: the goods that are held for them.
CREATE TABLE order_change (
    order_id uuid PRIMARY KEY REFERENCES orders (id) ON DELETE CASCADE,
    hold uuid NOT NULL,
    amount bigint NOT NULL,
    basket text COLLATE "C" NOT NULL
);

DROP INDEX orders_unfinished;
CREATE INDEX orders_unfinished ON orders (changed_at) WHERE state IN ('closing', 'paid', 'fulfilling', 'changing');
