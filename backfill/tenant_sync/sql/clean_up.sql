-- Say of runs that have been stuck for a while that they failed, as finish.sql would; a run that still writes is left alone.
-- $1 seconds, $2 actor, $3 error: type, $4 its name, $5 text, $6 what to do, $7 at most -> (tenant, correlation, holder, seconds), oldest first
WITH stuck AS (
    SELECT s.tenant_id, s.holder, crm.tenant_sync_stuck_since(s) AS since FROM crm.tenant_syncs AS s
     WHERE s.status = 'in_progress'
       AND crm.tenant_sync_stuck_since(s) < clock_timestamp() - $1::float8 * interval '1 second'
     ORDER BY s.started_at LIMIT $7 FOR UPDATE SKIP LOCKED
), ended AS (
    UPDATE crm.tenant_syncs AS s
       SET status = 'failed', lease_until = NULL, token = s.token + 1,
           next_attempt_at = clock_timestamp() + least(60 * 2 ^ least(greatest(s.attempts, 1) - 1, 10), 3600) * interval '1 second',
           error = jsonb_build_object(
               'type', $3::text, 'name', $4::text, 'message', $5::text, 'action', $6::text, 'retryable', true,
               'correlationId', s.correlation_id, 'tenantId', s.tenant_id, 'phase', s.phase,
               'duration', round(extract(epoch FROM clock_timestamp() - s.started_at) * 1000))
      FROM stuck WHERE s.tenant_id = stuck.tenant_id
    RETURNING s.tenant_id, s.token, s.correlation_id, stuck.holder, stuck.since
), runs AS (
    UPDATE crm.tenant_sync_runs AS r SET status = 'failed', error_type = $3, ended_at = clock_timestamp()
      FROM ended WHERE r.tenant_id = ended.tenant_id AND r.token = ended.token - 1 AND r.status = 'in_progress'
), noted AS (
    INSERT INTO crm.tenant_sync_notes (tenant_id, actor, action, detail)
    SELECT tenant_id, $2, 'clean-up', correlation_id FROM ended
)
SELECT tenant_id::text AS tenant, correlation_id AS correlation, holder,
       extract(epoch FROM clock_timestamp() - since)::float8 AS seconds
  FROM ended ORDER BY since
