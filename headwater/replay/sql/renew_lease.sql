-- Keep a job; tells whether it was cancelled meanwhile.
-- $1 job, $2 token, $3 lease in seconds -> cancelled; no row when another runner has it
UPDATE headwater.job SET lease_until = clock_timestamp() + $3::float8 * interval '1 second'
 WHERE id = $1 AND token = $2
RETURNING cancelled
