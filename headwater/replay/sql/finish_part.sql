-- End a subject of a job.
-- $1 job, $2 subject, $3 token, $4 state, $5 error or null -> subject; no row when another runner has the job
WITH held AS (
    SELECT id FROM headwater.job WHERE id = $1 AND token = $3 FOR SHARE
)
UPDATE headwater.job_part AS p SET state = $4, error = $5
  FROM held
 WHERE p.job = held.id AND p.subject = $2
RETURNING p.subject
