-- Entries of a job that are parked.
-- $1 app, $2 job as text -> count
SELECT count(*) FROM headwater.dead_letter
 WHERE job = $2 AND app = $1 AND state IN ('parked', 'replaying', 'waiting', 'held')
