-- When a place was last taken to another device: what was held before that proves nothing any more. `name` tells a repeat of a
-- move from another one.
CREATE TABLE place_move (
    entry uuid PRIMARY KEY,
    sale text COLLATE "C" NOT NULL,
    at bigint NOT NULL,
    name bytea NOT NULL CHECK (octet_length(name) = 16)
);

CREATE INDEX place_move_sale ON place_move (sale);
CREATE INDEX place_move_at ON place_move (at);
