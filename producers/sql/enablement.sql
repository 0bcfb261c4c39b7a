-- Which applications tenants have enabled, of those that are in service. A tenant that is no UUID has none.
-- $1 tenants -> (tenant, app)
SELECT asked.tenant, app.app_code::text AS app
  FROM unnest($1::text[]) AS asked (tenant)
  JOIN organization_applications AS enabled
    ON enabled.tenant_id = CASE WHEN asked.tenant ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN asked.tenant::uuid END
  JOIN applications AS app USING (app_id)
 WHERE enabled.is_enabled AND app.status = 'active'
