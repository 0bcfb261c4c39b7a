-- Take a role away, or give it again.
-- $1 id, $2 whether in force -> the row, or none
UPDATE user_role_assignments SET is_active = $2 WHERE id = $1 RETURNING *
