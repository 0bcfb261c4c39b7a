-- Write down how many rows subjects of a job have, where nothing is written yet.
-- $1 job, $2 token, $3 subjects, $4 counts -> nothing; nothing happens when another runner has the job
WITH held AS (
    SELECT id FROM headwater.job WHERE id = $1 AND token = $2 FOR SHARE
)
UPDATE headwater.job_part AS p SET expected = c.expected
  FROM held, unnest($3::text[], $4::bigint[]) AS c (subject, expected)
 WHERE p.job = held.id AND p.subject = c.subject AND p.expected IS NULL
