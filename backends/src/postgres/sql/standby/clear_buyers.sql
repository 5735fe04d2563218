-- Rows of these buyers that an outcome has overtaken.
DELETE FROM standby
USING outcome
WHERE standby.sale = $1 AND standby.buyer = ANY($2) AND outcome.entry = standby.entry
