-- Queue a backfill job, unless one is open for the tenant and application.
-- $1 id, $2 tenant, $3 app, $4 since or null, $5 asked by, $6 reason, $7 seconds to wait -> the job, or no row
INSERT INTO headwater.job (id, tenant, app, since, asked_by, reason, not_before)
VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp() + $7::float8 * interval '1 second')
ON CONFLICT (tenant, app) WHERE state IN ('queued', 'running', 'paused', 'catching_up', 'verifying') DO NOTHING
RETURNING *
