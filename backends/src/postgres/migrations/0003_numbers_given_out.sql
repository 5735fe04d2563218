-- The highest number that had been given out when the cursor was saved: a line that forgot begins a new block above it, and
-- whoever has a number up to it still waits.
ALTER TABLE speaker ADD COLUMN given_out bigint NOT NULL DEFAULT 0;
