-- Whether every transaction below a number has ended.
-- $1 a transaction number, as text -> true or false
SELECT pg_snapshot_xmin(pg_current_snapshot()) >= $1::text::xid8
