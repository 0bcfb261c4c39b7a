-- A run has ended: well, or with an error. After one, the next is due a minute later, doubling up to an hour.
-- $1 tenant, $2 token, $3 status, $4 error as JSON or null, $5 its type or null -> 1, or no row when another run has the lease
WITH mine AS (
    UPDATE crm.tenant_syncs AS s
       SET status = $3, error = $4::text::jsonb, lease_until = NULL,
           phase = CASE WHEN $3 = 'completed' THEN 'completed' ELSE s.phase END,
           completed_at = CASE WHEN $3 = 'completed' THEN clock_timestamp() END,
           attempts = CASE WHEN $3 = 'completed' AND NOT failing.any THEN 0 ELSE s.attempts END,
           next_attempt_at = CASE WHEN $3 <> 'completed' OR failing.any THEN
               clock_timestamp() + least(60 * 2 ^ least(s.attempts - 1, 10), 3600) * interval '1 second' END
      FROM (SELECT EXISTS (SELECT FROM crm.tenant_sync_collections
                            WHERE tenant_id = $1::text::uuid AND status <> 'completed') AS any) AS failing
     WHERE s.tenant_id = $1::text::uuid AND s.token = $2
    RETURNING s.tenant_id, s.token
), run AS (
    UPDATE crm.tenant_sync_runs AS r
       SET status = $3, error_type = $5, ended_at = clock_timestamp(), collections = (
           SELECT jsonb_object_agg(c.name, jsonb_build_object('status', c.status, 'fetched', c.fetched, 'stored', c.stored,
                                                              'skipped', c.skipped, 'failed', c.failed, 'seconds', c.seconds))
             FROM crm.tenant_sync_collections AS c WHERE c.tenant_id = mine.tenant_id AND c.synced_at >= r.started_at)
      FROM mine WHERE r.tenant_id = mine.tenant_id AND r.token = mine.token
)
SELECT 1 FROM mine
