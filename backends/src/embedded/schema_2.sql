-- What a file of the first version lacks: the highest number that had been given out when the cursor was saved.
ALTER TABLE speaker ADD COLUMN given_out INTEGER NOT NULL DEFAULT 0;
