-- A tenant's row of an application, not enabled, unless there is one.
-- $1 tenant, $2 application -> its id, or no row
INSERT INTO organization_applications (tenant_id, app_id, is_enabled, enabled_modules)
VALUES ($1::text::uuid, $2::text::uuid, false, '[]') ON CONFLICT (tenant_id, app_id) DO NOTHING RETURNING id
