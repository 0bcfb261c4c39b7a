-- Suspend a membership, or lift that.
-- $1 id, $2 status -> the row, or none
UPDATE organization_memberships SET membership_status = $2, updated_at = now() AT TIME ZONE 'UTC'
 WHERE membership_id = $1
RETURNING *
