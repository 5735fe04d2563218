-- The simulated provider gives money back: how much of each payment, and each time it did. A repeat finds its own row.
ALTER TABLE simulated_payment
    ADD COLUMN refunded bigint NOT NULL DEFAULT 0,
    ADD CHECK (refunded BETWEEN 0 AND amount),
    DROP CONSTRAINT simulated_payment_state_check,
    ADD CONSTRAINT simulated_payment_state_check
        CHECK (state IN ('open', 'succeeded', 'failed', 'closed', 'refunded'));

DROP INDEX simulated_payment_untold;
CREATE INDEX simulated_payment_untold ON simulated_payment (changed_at)
WHERE NOT told AND state IN ('succeeded', 'failed', 'refunded');

CREATE TABLE simulated_refund (
    refund uuid PRIMARY KEY,
    payment uuid NOT NULL REFERENCES simulated_payment (payment) ON DELETE CASCADE,
    amount bigint NOT NULL CHECK (amount > 0),
    at bigint NOT NULL
);

CREATE INDEX simulated_refund_payment ON simulated_refund (payment);
