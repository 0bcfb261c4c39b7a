-- How long the last sync took that came to its end.
-- $1 tenant -> seconds, or no row
SELECT extract(epoch FROM ended_at - started_at)::float8 FROM crm.tenant_sync_runs
 WHERE tenant_id = $1::text::uuid AND status = 'completed' ORDER BY token DESC LIMIT 1
