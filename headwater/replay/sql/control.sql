-- What is asked of a job that a runner has.
-- $1 job, $2 token -> (cancelled, paused); no row when another runner has it
SELECT cancelled, paused AND state IN ('queued', 'running') AS paused FROM headwater.job WHERE id = $1 AND token = $2
