-- Roles of a tenant.
-- $1 tenant, $2 app -> rows of custom_roles with key, version, created_at, changed_at
SELECT r.role_id::text AS key, r.headwater_version AS version,
       r.created_at AT TIME ZONE 'UTC' AS created_at, r.updated_at AT TIME ZONE 'UTC' AS changed_at,
       r.role_id, r.tenant_id, r.role_name, r.description, r.permissions, r.restrictions, r.priority, r.is_system_role,
       r.created_by, r.updated_at
  FROM custom_roles AS r
 WHERE r.tenant_id = $1::text::uuid AND $2::text IS NOT NULL
