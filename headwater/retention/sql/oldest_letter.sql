-- When the oldest entry among the dead letters that are not settled was appended.
-- $1 app -> instant or null
SELECT min(least(parked_at, CASE WHEN entry ~ '^\d{1,15}-\d+$' THEN to_timestamp(split_part(entry, '-', 1)::bigint / 1000.0) END))
  FROM headwater.dead_letter WHERE app = $1 AND state IN ('parked', 'replaying', 'waiting', 'held')
