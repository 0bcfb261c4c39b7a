-- Begin with the changes from now on, unless it began before: the rows that are there are said by the bulk sync.
-- -> nothing
INSERT INTO user_sync.sweep (seen, source_epoch)
SELECT pg_current_snapshot(), epoch FROM headwater.meta ON CONFLICT (one) DO NOTHING
