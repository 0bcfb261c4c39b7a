-- Put people into organizations.
-- $1 tenant, $2 ids, $3 users, $4 organizations, $5 roles -> the rows
INSERT INTO organization_memberships (tenant_id, membership_id, user_id, entity_id, role_id, is_primary)
SELECT $1, id, user_id, entity_id, role_id, true
  FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[]) AS m (id, user_id, entity_id, role_id)
RETURNING *
