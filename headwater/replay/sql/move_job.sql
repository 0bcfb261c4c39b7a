-- Change a job's state; final states give the lease back.
-- $1 job, $2 token, $3 state, $4 error or null, $5 states it may come from -> (moved, held, state before)
WITH old AS (
    SELECT id, state, token = $2 AS held FROM headwater.job WHERE id = $1 FOR UPDATE
), moved AS (
    UPDATE headwater.job AS j
       SET state = $3, error = $4, paused = j.paused AND $3 IN ('queued', 'running'),
           finished_at = CASE WHEN $3 IN ('verified', 'diverged', 'partial', 'failed', 'cancelled') THEN clock_timestamp() END,
           lease_until = CASE WHEN $3 IN ('verified', 'diverged', 'partial', 'failed', 'cancelled') THEN NULL ELSE j.lease_until END
      FROM old WHERE j.id = old.id AND old.held AND old.state = ANY ($5::text[])
    RETURNING j.id
)
SELECT moved.id IS NOT NULL AS moved, old.held, old.state FROM old LEFT JOIN moved USING (id)
