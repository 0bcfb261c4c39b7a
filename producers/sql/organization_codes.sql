-- Codes of organizations, as they are displayed.
-- $1 ids -> (entity_id, entity_code)
SELECT entity_id, entity_code FROM entities WHERE entity_id = ANY ($1::text[]::uuid[])
