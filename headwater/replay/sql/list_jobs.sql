-- Jobs, newest first.
-- $1 tenant or null, $2 app or null, $3 id or null, $4 only open ones, $5 at most -> jobs
SELECT * FROM headwater.job
 WHERE ($1::text IS NULL OR tenant = $1) AND ($2::text IS NULL OR app = $2) AND ($3::uuid IS NULL OR id = $3)
   AND (NOT $4::bool OR state IN ('queued', 'running', 'paused', 'catching_up', 'verifying'))
 ORDER BY created_at DESC LIMIT $5
