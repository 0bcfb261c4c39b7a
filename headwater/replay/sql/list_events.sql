-- A job's audit trail, oldest first.
-- $1 job -> (at, actor, what, detail)
SELECT at, actor, what, detail FROM headwater.job_event WHERE job = $1 ORDER BY id
