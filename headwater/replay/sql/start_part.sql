-- Begin or go on with a subject of a job; the count is kept from the first time.
-- $1 job, $2 subject, $3 token, $4 expected -> the part; no row when another runner has the job
UPDATE headwater.job_part AS p SET state = 'running', expected = coalesce(p.expected, $4)
  FROM headwater.job AS j
 WHERE p.job = $1 AND p.subject = $2 AND j.id = p.job AND j.token = $3
RETURNING p.*
