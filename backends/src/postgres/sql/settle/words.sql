-- The latest movement of each of these holds.
SELECT DISTINCT ON (hold) hold, number, kind FROM movement WHERE hold = ANY($1) ORDER BY hold, number DESC
