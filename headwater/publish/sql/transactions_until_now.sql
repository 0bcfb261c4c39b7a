-- A number larger than any transaction's that has begun to write: of a snapshot, the newest open ones are not below its xmax.
-- nothing -> a transaction number, as text
SELECT pg_current_xact_id()::text
