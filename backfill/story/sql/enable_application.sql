-- Enable an application for a tenant.
-- $1 tenant, $2 application's code -> the row with app_code
INSERT INTO organization_applications AS o (tenant_id, app_id)
SELECT $1, app_id FROM applications WHERE app_code = $2
ON CONFLICT (tenant_id, app_id) DO UPDATE SET is_enabled = true, updated_at = now() AT TIME ZONE 'UTC'
RETURNING o.*, $2::text AS app_code
