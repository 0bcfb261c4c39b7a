-- Remove an organization.
-- $1 id -> the row, or none
DELETE FROM entities WHERE entity_id = $1 RETURNING *
