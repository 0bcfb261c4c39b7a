-- How far changes have been said.
-- -> (swept_at, quiet: seconds since, seconds, said, underway, horizon_age in seconds, bulk_at); no row: it was never set up
SELECT swept_at, extract(epoch FROM clock_timestamp() - swept_at)::float8 AS quiet, seconds, said, target IS NOT NULL AS underway,
       coalesce(extract(epoch FROM clock_timestamp() - stuck_since), 0)::float8 AS horizon_age, bulk_at
  FROM user_sync.sweep
