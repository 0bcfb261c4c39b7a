-- Enable or disable an application for a tenant; what is not said stays as it is.
-- $1 tenant, $2 application, $3 enabled or null, $4 tier or null, $5 modules as JSON or null, $6 most users or null -> the row
UPDATE organization_applications AS o
   SET is_enabled = coalesce($3, o.is_enabled), subscription_tier = coalesce($4, o.subscription_tier),
       enabled_modules = coalesce($5::text::jsonb, o.enabled_modules), max_users = coalesce($6, o.max_users),
       updated_at = now() AT TIME ZONE 'UTC'
 WHERE tenant_id = $1::text::uuid AND app_id = $2::text::uuid
RETURNING o.*
