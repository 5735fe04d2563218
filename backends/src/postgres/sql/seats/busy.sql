-- A bit for each leg of each seat that somebody has.
SELECT seat, bit_or(1::bigint << leg) FROM seat_leg WHERE sale = $1 AND sku = $2 GROUP BY seat
