-- How the syncs of all tenants stand now.
-- nothing -> one row of numbers; waiting: asked for and not begun, with the age of the oldest in seconds
SELECT count(*) AS total,
       count(*) FILTER (WHERE status = 'pending') AS pending,
       count(*) FILTER (WHERE status = 'in_progress') AS in_progress,
       count(*) FILTER (WHERE status = 'completed') AS completed,
       count(*) FILTER (WHERE status = 'failed') AS failed,
       count(*) FILTER (WHERE status = 'in_progress' AND lease_until BETWEEN clock_timestamp()
                              AND clock_timestamp() + interval '10 minutes') AS active,
       count(*) FILTER (WHERE status = 'in_progress' AND crm.tenant_sync_stuck_since(s) IS NOT NULL) AS stuck,
       count(*) FILTER (WHERE phase <> 'independent') AS essential,
       count(requested_at) AS waiting,
       coalesce(extract(epoch FROM clock_timestamp() - min(requested_at)), 0)::float8 AS waiting_seconds,
       (SELECT count(DISTINCT c.tenant_id) FROM crm.tenant_sync_collections AS c WHERE c.status = 'failed') AS lacking
  FROM crm.tenant_syncs AS s
