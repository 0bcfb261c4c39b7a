-- Which parts of retention are due, the one that waits longest first.
-- $1 parts, $2 seconds between two times -> what
SELECT e.what FROM unnest($1::text[]) WITH ORDINALITY AS e (what, place) LEFT JOIN headwater.upkeep AS u USING (what)
 WHERE u.done_at IS NULL OR u.done_at < clock_timestamp() - $2::float8 * interval '1 second'
 ORDER BY u.done_at NULLS FIRST, e.place
