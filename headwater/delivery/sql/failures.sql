-- What is known of entries that come again.
-- $1 app, $2 streams, $3 entries, $4 marks -> (stream, entry, failures, wait in seconds)
SELECT f.stream, f.entry, f.failures,
       greatest(0, extract(epoch FROM f.retry_at - clock_timestamp()))::float8 AS wait
  FROM headwater.failure AS f
  JOIN unnest($2::text[], $3::text[], $4::text[]) AS e (stream, entry, mark) USING (stream, entry, mark)
 WHERE f.app = $1
