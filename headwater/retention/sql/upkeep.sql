-- When each part of retention was done last, and groups that hold nothing any more.
-- nothing -> (what, silent in seconds, removed, detail)
SELECT what, extract(epoch FROM clock_timestamp() - done_at)::float8 AS silent, removed, detail FROM headwater.upkeep ORDER BY what
