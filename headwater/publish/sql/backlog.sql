-- How much waits in the outbox.
-- nothing -> waiting (up to 100,000 and as many held), oldest and oldest open transaction in seconds, quarantined
WITH waiting AS (SELECT id, said_at FROM headwater.outbox WHERE published_at IS NULL AND error IS NULL AND held IS NULL),
     held AS (SELECT id, said_at FROM headwater.outbox WHERE held IS NOT NULL)
SELECT (SELECT count(*) FROM (SELECT FROM waiting LIMIT 100000) AS w) + (SELECT count(*) FROM (SELECT FROM held LIMIT 100000) AS h)
           AS waiting,
       (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(said_at)), 0)::float8 FROM
           ((SELECT said_at FROM waiting ORDER BY id LIMIT 1) UNION ALL (SELECT min(said_at) FROM held)) AS o) AS oldest,
       (SELECT coalesce(max(extract(epoch FROM clock_timestamp() - a.xact_start)), 0)::float8
          FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
         WHERE l.relation = 'headwater.outbox'::regclass AND l.mode = 'RowExclusiveLock' AND l.granted) AS horizon,
       (SELECT count(*) FROM headwater.outbox WHERE error IS NOT NULL) AS quarantined
