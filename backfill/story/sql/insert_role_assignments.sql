-- Give people roles.
-- $1 tenant, $2 ids, $3 users, $4 roles, $5 organizations -> the rows
INSERT INTO user_role_assignments (tenant_id, id, user_id, role_id, organization_id)
SELECT $1, id, user_id, role_id, organization_id
  FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[]) AS a (id, user_id, role_id, organization_id)
RETURNING *
