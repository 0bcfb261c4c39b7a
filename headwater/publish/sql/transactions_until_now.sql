-- Where transactions that begin from now on are numbered from.
-- nothing -> a transaction number, as text
SELECT pg_snapshot_xmax(pg_current_snapshot())::text
