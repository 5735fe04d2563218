-- A seat is a line of its own; `place` counts the lines. `seat_no` is its place in the sale's list of seats, `seat` its label
-- at the time.
ALTER TABLE order_line
    ADD COLUMN place integer NOT NULL DEFAULT 0,
    ADD COLUMN from_stop integer CHECK (from_stop >= 0),
    ADD COLUMN to_stop integer CHECK (to_stop > from_stop AND to_stop <= 64),
    ADD COLUMN seat_no integer CHECK (seat_no IS NULL OR seat_no >= 0 AND quantity = 1 AND to_stop IS NOT NULL),
    ADD COLUMN seat text,
    ADD CONSTRAINT order_line_seat CHECK (
        (from_stop IS NULL) = (to_stop IS NULL) AND (seat_no IS NULL) = (seat IS NULL)
    ),
    DROP CONSTRAINT order_line_pkey,
    ADD PRIMARY KEY (order_id, sku, place);

-- no-oversell, for seats: who is held or sold a seat on a leg. A release deletes its rows.
CREATE TABLE seat_leg (
    sale text COLLATE "C" NOT NULL,
    sku text COLLATE "C" NOT NULL,
    seat integer NOT NULL CHECK (seat >= 0),
    leg integer NOT NULL CHECK (leg BETWEEN 0 AND 63),
    order_id uuid NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    hold uuid NOT NULL,
    PRIMARY KEY (sale, sku, seat, leg)
);

CREATE INDEX seat_leg_order ON seat_leg (order_id);
