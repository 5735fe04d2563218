-- A bit for each leg; the sum of distinct bits is their union.
SELECT seat, sum(1 << leg) FROM seat_leg WHERE sale = ?1 AND sku = ?2 GROUP BY seat
