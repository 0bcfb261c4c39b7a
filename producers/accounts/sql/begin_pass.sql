-- Take the next pass, or the one that was cut off, and keep older sweepers out of it. A cluster that is behind what was
-- seen, or whose epoch was raised, was restored: everything is said again.
-- -> (epoch, seen, target, at_xid, at_key); no row: it was never set up
UPDATE user_sync.sweep AS s
   SET epoch = s.epoch + 1, source_epoch = now.epoch,
       seen = CASE WHEN now.again THEN '1:1:'::pg_snapshot ELSE s.seen END,
       target = CASE WHEN s.target IS NULL OR now.again THEN now.snapshot ELSE s.target END,
       at_xid = CASE WHEN now.again THEN NULL ELSE s.at_xid END, at_key = CASE WHEN now.again THEN NULL ELSE s.at_key END
  FROM (SELECT m.epoch, pg_current_snapshot() AS snapshot,
               k.source_epoch <> m.epoch
               OR pg_snapshot_xmax(coalesce(k.target, k.seen)) > pg_snapshot_xmax(pg_current_snapshot()) AS again
          FROM headwater.meta AS m JOIN user_sync.sweep AS k ON k.one = m.one WHERE m.one AND k.one) AS now
 WHERE s.one
RETURNING s.epoch, s.seen::text AS seen, s.target::text AS target, s.at_xid::text AS at_xid, s.at_key::text AS at_key
