-- When groups were last heard of.
-- nothing -> (name, seconds since)
SELECT name, greatest(0, extract(epoch FROM clock_timestamp() - heard_at))::float8 AS silent FROM headwater.reader
