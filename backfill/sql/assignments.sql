-- Active memberships of a tenant's users in its organizations.
-- $1 tenant, $2 app -> rows of organization_memberships with key, version, created_at, changed_at, entity_code
SELECT m.membership_id::text AS key, m.headwater_version AS version,
       m.created_at AT TIME ZONE 'UTC' AS created_at, m.updated_at AT TIME ZONE 'UTC' AS changed_at,
       m.membership_id, m.user_id, m.tenant_id, m.entity_id, m.role_id, m.membership_type, m.membership_status,
       m.access_level, m.is_primary, m.created_by, m.updated_at, e.entity_code
  FROM organization_memberships AS m
  JOIN entities AS e USING (entity_id)
 WHERE m.tenant_id = $1::text::uuid AND m.membership_status = 'active' AND $2::text IS NOT NULL
