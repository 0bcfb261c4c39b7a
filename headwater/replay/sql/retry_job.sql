-- Queue a job again that ended badly: it goes on behind what it did. The raised token fences off whoever ran it.
-- $1 job, $2 states it may come back from -> id, or no row
WITH back AS (
    UPDATE headwater.job
       SET state = 'queued', cancelled = false, paused = false, token = token + 1, lease_until = NULL, holder = NULL,
           error = NULL, finished_at = NULL, not_before = clock_timestamp()
     WHERE id = $1 AND state = ANY ($2::text[]) RETURNING id
), parts AS (
    UPDATE headwater.job_part AS p
       SET state = CASE WHEN p.state = 'done' THEN 'done' ELSE 'queued' END, error = NULL, failed = 0, bound = NULL
      FROM back WHERE p.job = back.id
), rows AS (
    DELETE FROM headwater.job_quarantine AS q USING back WHERE q.job = back.id
)
SELECT id FROM back
