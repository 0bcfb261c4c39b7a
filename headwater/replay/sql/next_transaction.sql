-- The first transaction that has not begun to write.
-- nothing -> its number as text
SELECT pg_snapshot_xmax(pg_current_snapshot())::text AS xid
