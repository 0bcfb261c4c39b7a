-- Runs that have been stuck for a while.
-- $1 seconds, $2 at most -> (tenant, correlation, holder, seconds), oldest first
SELECT s.tenant_id::text AS tenant, s.correlation_id AS correlation, s.holder,
       extract(epoch FROM clock_timestamp() - crm.tenant_sync_stuck_since(s))::float8 AS seconds
  FROM crm.tenant_syncs AS s
 WHERE s.status = 'in_progress'
   AND crm.tenant_sync_stuck_since(s) < clock_timestamp() - $1::float8 * interval '1 second'
 ORDER BY s.started_at LIMIT $2
