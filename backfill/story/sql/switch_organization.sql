-- Open or close an organization.
-- $1 id, $2 whether active -> the row, or none
UPDATE entities SET is_active = $2, updated_at = now() AT TIME ZONE 'UTC' WHERE entity_id = $1 RETURNING *
