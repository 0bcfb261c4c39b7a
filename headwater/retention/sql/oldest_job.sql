-- When the oldest backfill of an application was asked for that has not ended, or whose entries may still stand somewhere.
-- $1 app, $2 since when entries stand or null -> instant or null
SELECT min(created_at) FROM headwater.job WHERE app = $1 AND (finished_at IS NULL OR finished_at >= $2::timestamptz)
