-- Whether every transaction before one has ended.
-- $1 transaction as text -> true or false
SELECT pg_snapshot_xmin(pg_current_snapshot()) >= $1::text::xid8 AS ended
