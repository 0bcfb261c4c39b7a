-- Let a person sign in or not.
-- $1 id, $2 whether active -> the row, or none
UPDATE tenant_users SET is_active = $2, updated_at = now() AT TIME ZONE 'UTC' WHERE user_id = $1 RETURNING *
