-- Count a failure of each entry and say when it may be tried again.
-- $1 app, $2 streams, $3 entries, $4 marks, $5 failures, $6 seconds from now, $7 errors -> nothing
INSERT INTO headwater.failure AS f (app, stream, entry, mark, failures, retry_at, error)
SELECT $1, e.stream, e.entry, e.mark, e.failures, clock_timestamp() + e.pause * interval '1 second', e.error
  FROM unnest($2::text[], $3::text[], $4::text[], $5::int[], $6::float8[], $7::text[])
       AS e (stream, entry, mark, failures, pause, error)
 ORDER BY e.stream, e.entry, e.mark
ON CONFLICT (app, stream, entry, mark) DO UPDATE
   SET failures = excluded.failures, retry_at = excluded.retry_at, error = excluded.error, crashes = 0
