-- Count a failure of each entry and say when it may be tried again.
-- $1 app, $2 streams, $3 entries, $4 failures, $5 seconds from now, $6 errors -> nothing
INSERT INTO headwater.failure AS f (app, stream, entry, failures, retry_at, error)
SELECT $1, e.stream, e.entry, e.failures, clock_timestamp() + e.pause * interval '1 second', e.error
  FROM unnest($2::text[], $3::text[], $4::int[], $5::float8[], $6::text[]) AS e (stream, entry, failures, pause, error)
 ORDER BY e.stream, e.entry
ON CONFLICT (app, stream, entry) DO UPDATE
   SET failures = excluded.failures, retry_at = excluded.retry_at, error = excluded.error
