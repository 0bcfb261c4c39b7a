-- Which applications tenants have enabled, of those that are in service.
-- $1 tenants -> (tenant, app)
SELECT enabled.tenant_id::text AS tenant, app.app_code::text AS app
  FROM organization_applications AS enabled
  JOIN applications AS app USING (app_id)
 WHERE enabled.tenant_id = ANY ($1::text[]::uuid[]) AND enabled.is_enabled AND app.status = 'active'
