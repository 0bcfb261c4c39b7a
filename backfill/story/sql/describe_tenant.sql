-- Change what a tenant says about itself.
-- $1 id, $2 industry -> the row, or none
UPDATE tenants SET industry = $2, updated_at = now() AT TIME ZONE 'UTC' WHERE tenant_id = $1 RETURNING *
