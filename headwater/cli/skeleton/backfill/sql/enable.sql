-- Give a tenant an application.
-- $1 tenant, $2 app -> true, or no row when it has it already
INSERT INTO enabled (tenant_id, app) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING true
