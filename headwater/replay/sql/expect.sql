-- Write down how many rows subjects of a job have, and the last key to read, where nothing is written yet.
-- $1 job, $2 token, $3 subjects, $4 counts, $5 last keys -> nothing; nothing happens when another runner has the job
WITH held AS (
    SELECT id FROM headwater.job WHERE id = $1 AND token = $2 FOR SHARE
)
UPDATE headwater.job_part AS p SET expected = coalesce(p.expected, c.expected), bound = coalesce(p.bound, c.bound::json)
  FROM held, unnest($3::text[], $4::bigint[], $5::text[]) AS c (subject, expected, bound)
 WHERE p.job = held.id AND p.subject = c.subject
