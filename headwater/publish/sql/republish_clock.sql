-- What time it is at the source.
-- nothing -> now
SELECT clock_timestamp()
