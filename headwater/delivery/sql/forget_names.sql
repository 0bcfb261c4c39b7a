-- Forget names that nobody holds and Redis does not know, and how far they were; the furthest of a stream stays.
-- $1 app, $2 names that are known -> how many names were forgotten
WITH dead AS (
    DELETE FROM headwater.worker_name
     WHERE app = $1 AND lease_until <= clock_timestamp() AND name <> ALL ($2::text[])
    RETURNING name
), furthest AS (
    SELECT DISTINCT ON (stream) stream, consumer FROM headwater.position WHERE app = $1
     ORDER BY stream, split_part(entry, '-', 1)::bigint DESC, split_part(entry, '-', 2)::bigint DESC
), unknown AS (
    DELETE FROM headwater.position AS p
     WHERE p.app = $1 AND p.applied_at < clock_timestamp() - interval '1 minute'
       AND regexp_replace(p.consumer, '/[^/]*$', '') <> ALL ($2::text[])
       AND NOT EXISTS (SELECT FROM headwater.worker_name AS w
                        WHERE w.app = $1 AND w.lease_until > clock_timestamp()
                          AND w.name = regexp_replace(p.consumer, '/[^/]*$', ''))
       AND (p.stream, p.consumer) NOT IN (SELECT stream, consumer FROM furthest)
)
SELECT count(*) FROM dead
