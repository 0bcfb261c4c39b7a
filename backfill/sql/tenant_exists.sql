-- Whether there is such a tenant.
-- $1 tenant -> true or false
SELECT EXISTS (SELECT 1 FROM tenants WHERE tenant_id = $1::text::uuid) AS found
