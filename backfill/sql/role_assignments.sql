-- Who has which role in a tenant, as far as it is in force.
-- $1 tenant, $2 app -> rows of user_role_assignments with key, version, created_at, changed_at
SELECT a.id::text AS key, a.headwater_version AS version,
       a.assigned_at AT TIME ZONE 'UTC' AS created_at, a.assigned_at AT TIME ZONE 'UTC' AS changed_at,
       a.id, a.tenant_id, a.user_id, a.role_id, a.organization_id, a.scope, a.assigned_by, a.assigned_at, a.expires_at,
       a.is_active
  FROM user_role_assignments AS a
 WHERE a.tenant_id = $1::text::uuid AND a.is_active AND $2::text IS NOT NULL
