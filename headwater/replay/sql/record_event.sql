-- Add to a job's audit trail.
-- $1 job, $2 actor, $3 what, $4 detail -> nothing
INSERT INTO headwater.job_event (job, actor, what, detail) VALUES ($1, $2, $3, $4)
