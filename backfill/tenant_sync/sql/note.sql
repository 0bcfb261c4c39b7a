-- Add to the audit trail.
-- $1 tenant or null, $2 actor, $3 action, $4 detail or null -> nothing
INSERT INTO crm.tenant_sync_notes (tenant_id, actor, action, detail) VALUES ($1::text::uuid, $2, $3, $4)
