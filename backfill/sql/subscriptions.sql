-- The applications of a tenant.
-- $1 tenant -> rows, by code
SELECT o.id, o.app_id, a.app_code, a.app_name, a.description, a.icon, a.base_url, o.is_enabled, o.enabled_modules,
       o.subscription_tier, o.license_count, o.max_users, o.expires_at
  FROM organization_applications AS o JOIN applications AS a USING (app_id)
 WHERE o.tenant_id = $1::text::uuid ORDER BY a.app_code
