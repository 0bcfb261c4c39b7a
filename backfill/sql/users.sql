-- Users of a tenant, deactivated ones too.
-- $1 tenant, $2 app -> rows of tenant_users with key, version, created_at, changed_at
SELECT u.user_id::text AS key, u.headwater_version AS version,
       u.created_at AT TIME ZONE 'UTC' AS created_at, u.updated_at AT TIME ZONE 'UTC' AS changed_at,
       u.user_id, u.tenant_id, u.email, u.name, u.first_name, u.last_name, u.avatar, u.primary_organization_id,
       u.is_active, u.is_tenant_admin, u.is_responsible_person, u.updated_at
  FROM tenant_users AS u
 WHERE u.tenant_id = $1::text::uuid AND $2::text IS NOT NULL
