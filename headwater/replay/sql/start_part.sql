-- Begin or go on with a subject of a job; the count and the last key to read are kept from the first time.
-- $1 job, $2 subject, $3 token, $4 expected, $5 last key -> the part; no row when another runner has the job
WITH held AS (
    SELECT id FROM headwater.job WHERE id = $1 AND token = $3 FOR SHARE
)
UPDATE headwater.job_part AS p
   SET state = 'running', expected = coalesce(p.expected, $4), bound = coalesce(p.bound, $5::text::json)
  FROM held
 WHERE p.job = held.id AND p.subject = $2
RETURNING p.*
