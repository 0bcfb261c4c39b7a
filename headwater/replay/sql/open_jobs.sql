-- Open jobs of an application that have one of these subjects.
-- $1 tenant, $2 app, $3 subjects -> ids, oldest first
SELECT j.id FROM headwater.job AS j
 WHERE j.tenant = $1 AND j.app = $2 AND j.state IN ('queued', 'running', 'paused', 'catching_up', 'verifying')
   AND EXISTS (SELECT FROM headwater.job_part AS p WHERE p.job = j.id AND p.subject = ANY ($3::text[]))
 ORDER BY j.created_at
