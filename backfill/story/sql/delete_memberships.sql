-- Remove memberships of a person or of an organization, or one.
-- $1 user or null, $2 organization or null, $3 id or null -> the rows
DELETE FROM organization_memberships WHERE user_id = $1 OR entity_id = $2 OR membership_id = $3 RETURNING *
