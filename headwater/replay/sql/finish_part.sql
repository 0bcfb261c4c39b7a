-- End a subject of a job.
-- $1 job, $2 subject, $3 token, $4 state, $5 error or null -> subject; no row when another runner has the job
UPDATE headwater.job_part AS p SET state = $4, error = $5
  FROM headwater.job AS j
 WHERE p.job = $1 AND p.subject = $2 AND j.id = p.job AND j.token = $3
RETURNING p.subject
