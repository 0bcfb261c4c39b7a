-- Let go of a lease without having come to an end: whoever comes next goes on.
-- $1 tenant, $2 token -> nothing
UPDATE crm.tenant_syncs SET lease_until = NULL WHERE tenant_id = $1::text::uuid AND token = $2
