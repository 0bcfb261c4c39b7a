-- Whether a job waits for a runner.
-- $1 only this job or null -> true or false
SELECT EXISTS (
    SELECT FROM headwater.job
     WHERE state IN ('queued', 'running', 'catching_up', 'verifying') AND not_before <= clock_timestamp()
       AND (lease_until IS NULL OR lease_until < clock_timestamp()) AND ($1::uuid IS NULL OR id = $1)) AS waits
