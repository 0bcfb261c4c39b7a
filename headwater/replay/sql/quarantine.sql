-- Rows of a job that could not be said.
-- $1 job, $2 at most -> (subject, key, error, at)
SELECT subject, key, error, at FROM headwater.job_quarantine WHERE job = $1 ORDER BY subject, key LIMIT $2
