-- Queue a backfill job, unless one that is open for the tenant and application has a subject in common with it.
-- $1 id, $2 tenant, $3 app, $4 since or null, $5 asked by, $6 reason, $7 seconds to wait, $8 subjects, $9 priority, $10 rate or null -> the job, or no row
INSERT INTO headwater.job (id, tenant, app, since, asked_by, reason, not_before, priority, rate)
SELECT $1, $2, $3, $4, $5, $6, clock_timestamp() + $7::float8 * interval '1 second', $9, $10
 WHERE NOT EXISTS (
       SELECT FROM headwater.job AS j JOIN headwater.job_part AS p ON p.job = j.id
        WHERE j.tenant = $2 AND j.app = $3 AND j.state IN ('queued', 'running', 'paused', 'catching_up', 'verifying')
          AND p.subject = ANY ($8::text[]))
RETURNING *
