-- Remove a person; roles and memberships went before.
-- $1 id -> the row, or none
DELETE FROM tenant_users WHERE user_id = $1 RETURNING *
