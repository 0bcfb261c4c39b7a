-- Go on with a job that is paused, or was asked to be.
-- $1 job -> state; no row when nobody asked for a pause
UPDATE headwater.job
   SET paused = false,
       state = CASE WHEN state <> 'paused' THEN state WHEN started_at IS NULL THEN 'queued' ELSE 'running' END
 WHERE id = $1 AND paused AND state IN ('queued', 'running', 'paused') AND NOT cancelled
RETURNING state
