-- When the oldest thing in the outbox was said: also what an open transaction said, which nobody sees yet.
-- nothing -> (at, said)
SELECT clock_timestamp() AS at,
       least(clock_timestamp(), (SELECT min(said_at) FROM (SELECT said_at FROM headwater.outbox ORDER BY id LIMIT 1000) AS o),
             (SELECT min(a.xact_start) FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
               WHERE l.relation = 'headwater.outbox'::regclass AND l.mode = 'RowExclusiveLock' AND l.granted)) AS said
