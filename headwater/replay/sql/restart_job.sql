-- Begin an open job again, with parts yet to be given; the raised token fences off whoever runs it now.
-- $1 job, $2 asked by, $3 reason, $4 seconds to wait -> nothing
WITH chunks AS (
    DELETE FROM headwater.job_chunk WHERE job = $1
), rows AS (
    DELETE FROM headwater.job_quarantine WHERE job = $1
), parts AS (
    DELETE FROM headwater.job_part WHERE job = $1
)
UPDATE headwater.job
   SET state = 'queued', cancelled = false, paused = false, token = token + 1, lease_until = NULL, holder = NULL, error = NULL, since = NULL,
       asked_by = $2, reason = $3, started_at = NULL, finished_at = NULL,
       not_before = clock_timestamp() + $4::float8 * interval '1 second'
 WHERE id = $1
