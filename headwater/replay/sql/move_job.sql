-- Change a job's state; final states give the lease back.
-- $1 job, $2 token, $3 state, $4 error or null -> id; no row when another runner has it
UPDATE headwater.job
   SET state = $3, error = $4,
       finished_at = CASE WHEN $3 IN ('verified', 'diverged', 'partial', 'failed', 'cancelled') THEN clock_timestamp() END,
       lease_until = CASE WHEN $3 IN ('verified', 'diverged', 'partial', 'failed', 'cancelled') THEN NULL ELSE lease_until END
 WHERE id = $1 AND token = $2
RETURNING id
