-- Enable or disable an application for a tenant; what is not said stays as it is.
-- $1 tenant, $2 application, $3 enabled, $4 tier or null, $5 modules as JSON or null, $6 most users or null -> the row
INSERT INTO organization_applications AS o (tenant_id, app_id, is_enabled, subscription_tier, enabled_modules, max_users)
VALUES ($1::text::uuid, $2::text::uuid, $3, coalesce($4, 'basic'), coalesce($5::text::jsonb, '[]'::jsonb), $6)
ON CONFLICT (tenant_id, app_id) DO UPDATE
   SET is_enabled = excluded.is_enabled, subscription_tier = coalesce($4, o.subscription_tier),
       enabled_modules = coalesce($5::text::jsonb, o.enabled_modules), max_users = coalesce($6, o.max_users), updated_at = now() AT TIME ZONE 'UTC'
RETURNING o.*
