-- Tenants' syncs, the newest run first.
-- $1 status or null, $2 tenants or null for all, $3 at most -> rows of tenant_syncs, whether stuck, names of failed collections
WITH page AS (
    SELECT tenant_id FROM crm.tenant_syncs
     WHERE ($1::text IS NULL OR status = $1) AND ($2::uuid[] IS NULL OR tenant_id = ANY ($2::uuid[]))
     ORDER BY started_at DESC NULLS LAST, tenant_id LIMIT $3
)
SELECT s.tenant_id::text AS tenant, s.status, s.phase, s.attempts, s.sync_method, s.requested_method, s.fallback_used,
       s.correlation_id, s.triggered_by, s.started_at, s.essential_at, s.completed_at, s.next_attempt_at,
       s.error ->> 'type' AS error_type, s.error ->> 'message' AS error,
       crm.tenant_sync_stuck_since(s) IS NOT NULL AS stuck,
       ARRAY(SELECT c.name FROM crm.tenant_sync_collections AS c
              WHERE c.tenant_id = s.tenant_id AND c.status = 'failed' ORDER BY c.name) AS lacking
  FROM page JOIN crm.tenant_syncs AS s USING (tenant_id)
 ORDER BY s.started_at DESC NULLS LAST, s.tenant_id
