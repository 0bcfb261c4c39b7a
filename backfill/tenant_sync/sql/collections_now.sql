-- How the collections of all tenants stand after the last attempt at each.
-- nothing -> (name, tenants by status, rows), by name
SELECT name, count(*) AS tenants,
       count(*) FILTER (WHERE status = 'completed') AS completed,
       count(*) FILTER (WHERE status = 'failed') AS failed,
       count(*) FILTER (WHERE status = 'in_progress') AS in_progress,
       sum(fetched)::bigint AS fetched, sum(stored)::bigint AS stored, sum(skipped)::bigint AS skipped,
       sum(failed)::bigint AS refused, sum(gone)::bigint AS gone, max(synced_at) AS last_at
  FROM crm.tenant_sync_collections GROUP BY name ORDER BY name
