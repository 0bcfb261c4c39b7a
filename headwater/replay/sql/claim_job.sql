-- Take the next job that nobody works on: queued, or left by a runner that died. The token fences off the one before.
-- $1 holder, $2 lease in seconds, $3 only this job or null, $4 most jobs at once or null -> the job, or no row
UPDATE headwater.job AS j
   SET holder = $1, token = j.token + 1, lease_until = clock_timestamp() + $2::float8 * interval '1 second',
       started_at = coalesce(j.started_at, clock_timestamp())
 WHERE j.id = (
       SELECT id FROM headwater.job
        WHERE state IN ('queued', 'running', 'catching_up', 'verifying') AND not_before <= clock_timestamp()
          AND (lease_until IS NULL OR lease_until < clock_timestamp()) AND ($3::uuid IS NULL OR id = $3)
          AND ($4::int IS NULL OR $4 > (SELECT count(*) FROM headwater.job WHERE lease_until >= clock_timestamp()))
        ORDER BY priority DESC, created_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING j.*
