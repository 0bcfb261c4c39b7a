-- What organizations say of their tenant; locked, so that the tenant does not change before they have said it.
-- $1 tenants -> (tenant_id, industry, website)
SELECT tenant_id, industry, website FROM tenants WHERE tenant_id = ANY ($1::text[]::uuid[]) ORDER BY tenant_id FOR SHARE
