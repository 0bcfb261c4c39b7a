-- Ask for a sync of a tenant; asked twice before it begins, it is one.
-- $1 tenant, $2 who asks, $3 whether the CRM was named -> nothing
INSERT INTO crm.tenant_syncs AS s (tenant_id, requested_at, triggered_by)
SELECT $1::text::uuid, clock_timestamp(), $2
 WHERE $3::bool OR EXISTS (SELECT FROM crm.tenants WHERE tenant_id = $1::text::uuid)
ON CONFLICT (tenant_id) DO UPDATE SET requested_at = coalesce(s.requested_at, excluded.requested_at)
