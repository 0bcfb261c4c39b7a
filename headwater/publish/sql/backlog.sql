-- How much waits in the outbox.
-- nothing -> waiting (counted up to 100,000), oldest in seconds, quarantined
SELECT (SELECT count(*) FROM (SELECT 1 FROM headwater.outbox WHERE published_at IS NULL AND error IS NULL LIMIT 100000) AS w)
           AS waiting,
       (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(said_at)), 0)::float8 FROM
           (SELECT said_at FROM headwater.outbox WHERE published_at IS NULL AND error IS NULL ORDER BY id LIMIT 1) AS o)
           AS oldest,
       (SELECT count(*) FROM headwater.outbox WHERE error IS NOT NULL) AS quarantined
