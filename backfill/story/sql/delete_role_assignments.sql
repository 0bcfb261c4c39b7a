-- Take roles away for good: of a person, of a role, within an organization, or one.
-- $1 user or null, $2 role or null, $3 organization or null, $4 id or null -> the rows
DELETE FROM user_role_assignments
 WHERE user_id = $1 OR role_id = $2 OR organization_id = $3 OR id = $4
RETURNING *
