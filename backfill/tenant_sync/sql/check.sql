-- Whether a lease is still held; until this transaction ends nobody can take it, but it can be renewed.
-- $1 tenant, $2 token -> 1 or no row
SELECT 1 FROM crm.tenant_syncs WHERE tenant_id = $1::text::uuid AND token = $2 FOR KEY SHARE
