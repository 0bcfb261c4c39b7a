-- Make the row of a tenant that was never synced.
-- $1 tenant -> nothing
INSERT INTO crm.tenant_syncs (tenant_id) VALUES ($1::text::uuid) ON CONFLICT DO NOTHING
