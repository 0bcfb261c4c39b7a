-- Entries whose last attempt alone began some time ago and has no outcome.
-- $1 app, $2 seconds ago -> (stream, entry)
SELECT stream, entry FROM headwater.failure
 WHERE app = $1 AND crashes > 0 AND retry_at < clock_timestamp() - $2::float8 * interval '1 second'
 ORDER BY retry_at LIMIT 100
