-- A runner lets go of a job: paused when that is still asked for.
-- $1 job, $2 token -> state; no row when another runner has it
UPDATE headwater.job
   SET lease_until = NULL, state = CASE WHEN paused AND state IN ('queued', 'running') THEN 'paused' ELSE state END
 WHERE id = $1 AND token = $2
RETURNING state
