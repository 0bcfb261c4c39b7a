-- Begin an open job again from its first row; the raised token fences off whoever runs it now.
-- $1 job, $2 asked by, $3 reason, $4 seconds to wait -> nothing
WITH parts AS (
    UPDATE headwater.job_part
       SET state = 'queued', expected = NULL, published = 0, failed = 0, checkpoint = NULL, appended = '{}', details = '[]', error = NULL
     WHERE job = $1
)
UPDATE headwater.job
   SET state = 'queued', cancelled = false, token = token + 1, lease_until = NULL, holder = NULL, error = NULL,
       asked_by = $2, reason = $3, started_at = NULL, not_before = clock_timestamp() + $4::float8 * interval '1 second'
 WHERE id = $1
