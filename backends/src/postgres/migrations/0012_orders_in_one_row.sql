-- An order is one row, with its lines and its history: what is written together and read together lies together. A row of its own
-- for each line and each change had to be found again, one probe each, with every step.

-- Lines as JSON: sku, quantity, amount; refunded, from, to, seat_no and seat where they are. Changes as text, one an element:
-- the state, the time in milliseconds, what the buyer was told.
ALTER TABLE orders ADD COLUMN lines json, ADD COLUMN history text[];

-- No step, so no version.
DROP TRIGGER orders_move_forward ON orders;

UPDATE orders SET
    lines = coalesce((
        SELECT json_agg(
            json_strip_nulls(json_build_object(
                'sku', sku, 'quantity', quantity, 'amount', amount, 'refunded', nullif(refunded, 0),
                'from', from_stop, 'to', to_stop, 'seat_no', seat_no, 'seat', seat
            ))
            ORDER BY sku, place
        )
        FROM order_line WHERE order_line.order_id = orders.id
    ), '[]'),
    history = ARRAY(
        SELECT state || ' ' || at || ' ' || reason FROM order_history
        WHERE order_history.order_id = orders.id
        ORDER BY version
    );

ALTER TABLE orders ALTER COLUMN lines SET NOT NULL, ALTER COLUMN history SET NOT NULL;
DROP TABLE order_line, order_history;

-- What a request begins at one process, any may see through.
CREATE INDEX orders_begun ON orders (pay_by) WHERE state IN ('closing', 'changing');

-- After the row, since a look before it locks it once more. What is refused is undone with its transaction either way.
CREATE TRIGGER orders_move_forward AFTER UPDATE ON orders FOR EACH ROW
WHEN (
    NEW.version <= OLD.version
    OR NEW.version - OLD.version <> cardinality(NEW.history) - cardinality(OLD.history)
    OR NEW.history[1:cardinality(OLD.history)] IS DISTINCT FROM OLD.history
)
EXECUTE FUNCTION ledger_refuse('an order only moves forward, a change of its history for each version');

DROP TRIGGER payments_move_forward ON payment;
CREATE TRIGGER payments_move_forward AFTER UPDATE ON payment FOR EACH ROW
WHEN (NEW.version < OLD.version)
EXECUTE FUNCTION ledger_refuse('the version of a payment only moves forward');

-- Each of these looked at every order with every step. What hangs on an order is written under its lock, and goes with its sale.
ALTER TABLE payment DROP CONSTRAINT payment_order_id_fkey;
ALTER TABLE shop_order DROP CONSTRAINT shop_order_order_id_fkey;
ALTER TABLE refund DROP CONSTRAINT refund_order_id_fkey;
ALTER TABLE order_change DROP CONSTRAINT order_change_order_id_fkey;
ALTER TABLE seat_leg DROP CONSTRAINT seat_leg_order_id_fkey;

-- Nobody gets back more than they bought.
CREATE FUNCTION ledger_check_lines() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM json_to_recordset(NEW.lines) AS line (quantity integer, refunded integer)
        WHERE line.quantity IS NULL OR line.quantity <= 0 OR coalesce(line.refunded, 0) NOT BETWEEN 0 AND line.quantity
    ) THEN
        RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', MESSAGE = 'no line is given back beyond its quantity';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER order_lines_hold BEFORE UPDATE OF lines ON orders FOR EACH ROW
EXECUTE FUNCTION ledger_check_lines();

-- Outcomes that are not told yet, a row for those that were written together: found by the first of them.
ALTER TABLE outbox RENAME TO outbox_of_before;
ALTER TABLE outbox_of_before RENAME CONSTRAINT outbox_pkey TO outbox_of_before_pkey;
CREATE TABLE outbox (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sale text COLLATE "C" NOT NULL,
    entries uuid[] NOT NULL CHECK (cardinality(entries) > 0),
    first uuid NOT NULL GENERATED ALWAYS AS (entries[1]) STORED
) WITH (autovacuum_vacuum_scale_factor = 0.02);

CREATE INDEX outbox_first ON outbox (first);

INSERT INTO outbox (sale, entries)
SELECT outcome.sale, ARRAY[outcome.entry]
FROM outbox_of_before JOIN outcome ON outcome.entry = outbox_of_before.entry
ORDER BY outbox_of_before.number;

DROP TABLE outbox_of_before;
ALTER TABLE outcome DROP COLUMN number;
