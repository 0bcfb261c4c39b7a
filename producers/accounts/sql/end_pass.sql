-- A pass is done: what its target saw has been said. `stuck_since`: since when the same transaction has been the oldest one open.
-- $1 epoch, $2 seconds it took -> true; no row: another sweeper has taken over
UPDATE user_sync.sweep
   SET stuck_since = CASE WHEN pg_snapshot_xmin(target) = pg_snapshot_xmax(target) THEN NULL
                          WHEN pg_snapshot_xmin(target) = pg_snapshot_xmin(seen) THEN coalesce(stuck_since, now())
                          ELSE now() END,
       seen = target, target = NULL, at_xid = NULL, at_key = NULL, swept_at = clock_timestamp(), seconds = $2::float8
 WHERE epoch = $1::bigint RETURNING true
