-- Waits until outcomes are being committed, a second at most, and tells the port that they came from.
DO $$
DECLARE
    found integer;
    until CONSTANT timestamptz := clock_timestamp() + interval '1 second';
BEGIN
    WHILE found IS NULL AND clock_timestamp() < until LOOP
        PERFORM pg_sleep(0.001);
        PERFORM pg_stat_clear_snapshot();
        SELECT activity.client_port INTO found
        FROM pg_stat_activity AS activity
        JOIN pg_locks AS held ON held.pid = activity.pid
        WHERE activity.state = 'active' AND activity.query = 'COMMIT'
            AND held.relation = 'orders'::regclass AND held.mode = 'RowExclusiveLock'
            AND EXISTS (
                SELECT FROM pg_locks AS other
                WHERE other.pid = activity.pid AND other.relation = 'outcome'::regclass AND other.mode = 'RowExclusiveLock'
            )
        LIMIT 1;
    END LOOP;
    PERFORM set_config('drill.found', coalesce(found::text, ''), false);
END $$;

SELECT current_setting('drill.found');
