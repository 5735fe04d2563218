-- A role or database may have it off; an answer must be on the disk. Any stricter setting stays.
SELECT set_config('synchronous_commit', 'on', false)
WHERE current_setting('synchronous_commit') = 'off'
