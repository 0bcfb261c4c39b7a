-- A transaction's number larger than any that has begun to write: of a snapshot, the newest open ones are not behind its xmax.
-- nothing -> the number as text
SELECT pg_current_xact_id()::text AS xid
