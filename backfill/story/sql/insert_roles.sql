-- Define roles of a tenant.
-- $1 tenant, $2 ids, $3 names, $4 permissions -> the rows
INSERT INTO custom_roles (tenant_id, role_id, role_name, description, permissions)
SELECT $1, id, name, name || ' of the house', permissions::jsonb
  FROM unnest($2::uuid[], $3::text[], $4::text[]) AS r (id, name, permissions)
RETURNING *
