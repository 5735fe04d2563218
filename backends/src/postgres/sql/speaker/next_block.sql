INSERT INTO speaker AS old (sale, high_water)
VALUES ($1, $2)
ON CONFLICT (sale) DO UPDATE SET high_water = old.high_water + $2
RETURNING high_water
