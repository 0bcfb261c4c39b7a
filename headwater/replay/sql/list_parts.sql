-- The subjects of jobs, in order.
-- $1 jobs -> parts
SELECT * FROM headwater.job_part WHERE job = ANY ($1::uuid[]) ORDER BY job, place
