-- Tenants whose last attempt at a collection failed.
-- nothing -> (name, tenants), by name
SELECT name, count(*) AS tenants FROM crm.tenant_sync_collections WHERE status = 'failed' GROUP BY name ORDER BY name
