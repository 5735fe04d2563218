-- A sale's movements are numbered in the order they are committed: the count stays locked from the number to the commit. So
-- whoever reads a number has seen every lower one. It is the last that a transaction locks. It outlives its sale, so that
-- numbers never repeat.
CREATE TABLE movement_count (
    sale text COLLATE "C" PRIMARY KEY,
    number bigint NOT NULL
) WITH (fillfactor = 20);

CREATE TRIGGER movement_count_never_goes_back BEFORE UPDATE ON movement_count FOR EACH ROW
WHEN (NEW.number < OLD.number)
EXECUTE FUNCTION ledger_refuse('movements are never numbered again');

INSERT INTO movement_count (sale, number) SELECT sale, max(number) FROM movement GROUP BY sale;

ALTER TABLE movement ALTER COLUMN number DROP IDENTITY;
