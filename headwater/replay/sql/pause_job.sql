-- Ask for a pause; a job nobody works on pauses at once.
-- $1 job -> state; no row when it is not at a point where it can pause
UPDATE headwater.job
   SET paused = true,
       state = CASE WHEN lease_until IS NULL OR lease_until < clock_timestamp() THEN 'paused' ELSE state END
 WHERE id = $1 AND state IN ('queued', 'running', 'paused') AND NOT cancelled
RETURNING state
