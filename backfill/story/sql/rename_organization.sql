-- Give an organization another name.
-- $1 id, $2 name -> the row, or none
UPDATE entities SET entity_name = $2, updated_at = now() AT TIME ZONE 'UTC' WHERE entity_id = $1 RETURNING *
