-- When the oldest thing in the outbox was said: also what an open transaction said, which nobody sees yet. Null when one is open whose age this role may not see, or that is prepared.
-- nothing -> (at, said or null)
WITH writing AS (
    SELECT a.xact_start AS since, l.pid IS NULL OR (a.backend_xid IS NOT NULL AND a.xact_start IS NULL) AS hidden
      FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a USING (pid)
     WHERE l.relation = 'headwater.outbox'::regclass AND l.mode = 'RowExclusiveLock' AND l.granted
       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
)
SELECT clock_timestamp() AS at,
       CASE WHEN NOT EXISTS (SELECT FROM writing WHERE hidden) THEN
           least(clock_timestamp(), (SELECT min(said_at) FROM (SELECT said_at FROM headwater.outbox ORDER BY id LIMIT 1000) AS o),
                 (SELECT min(since) FROM writing)) END AS said
