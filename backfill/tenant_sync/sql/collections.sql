-- The collections of a tenant.
-- $1 tenant -> rows, by name
SELECT name, status, fetched, stored, skipped, failed, gone, error, synced_at, seconds
  FROM crm.tenant_sync_collections WHERE tenant_id = $1::text::uuid ORDER BY name
