-- Which applications tenants have enabled.
-- $1 tenants -> (tenant, app)
SELECT tenant_id AS tenant, app FROM enabled WHERE tenant_id = ANY ($1::text[])
