-- Keep a job; tells what was asked of it meanwhile.
-- $1 job, $2 token, $3 lease in seconds -> (cancelled, paused); no row when another runner has it
UPDATE headwater.job SET lease_until = clock_timestamp() + $3::float8 * interval '1 second'
 WHERE id = $1 AND token = $2
RETURNING cancelled, paused AND state IN ('queued', 'running') AS paused
