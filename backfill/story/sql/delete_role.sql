-- Remove a role that no membership names.
-- $1 id -> the row, or none
DELETE FROM custom_roles AS r
 WHERE r.role_id = $1 AND NOT EXISTS (SELECT FROM organization_memberships AS m WHERE m.role_id = r.role_id)
RETURNING *
