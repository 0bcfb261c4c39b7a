-- Tenants whose sync is to be made now, and nobody makes: asked for, left by a process that is gone, or due once more.
-- $1 at most -> (tenant, whether it was asked for)
SELECT tenant_id::text AS tenant, requested_at IS NOT NULL AS asked
  FROM crm.tenant_syncs
 WHERE (lease_until IS NULL OR lease_until NOT BETWEEN clock_timestamp() AND clock_timestamp() + interval '10 minutes')
   AND (requested_at IS NOT NULL OR status = 'in_progress'
        OR next_attempt_at <= clock_timestamp() AND error ->> 'retryable' IS DISTINCT FROM 'false')
 ORDER BY requested_at NULLS LAST, next_attempt_at NULLS FIRST LIMIT $1
