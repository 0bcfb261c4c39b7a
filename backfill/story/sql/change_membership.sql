-- Change how much a member may do.
-- $1 id, $2 access level -> the row, or none
UPDATE organization_memberships SET access_level = $2, updated_at = now() AT TIME ZONE 'UTC'
 WHERE membership_id = $1
RETURNING *
