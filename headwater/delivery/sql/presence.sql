-- When an application's workers were last heard of.
-- $1 app -> seconds since, or no row when none ever was
SELECT greatest(0, extract(epoch FROM clock_timestamp() - seen_at))::float8 AS silent
  FROM headwater.presence WHERE app = $1
