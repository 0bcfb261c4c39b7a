-- Take a tenant's lease if nobody has it, an earlier attempt of this very run has, or in any case. Waits for the transactions of the run before.
-- $1 tenant, $2 holder, $3 lease in seconds, $4 correlation id, $5 from the beginning, $6 steal, $7 method, $8 method asked for, $9 fallback, $10 who asked -> the new token, or no row
WITH free AS (
    SELECT tenant_id FROM crm.tenant_syncs
     WHERE tenant_id = $1::text::uuid
       AND ($6::bool OR lease_until IS NULL OR correlation_id = $4 AND sync_method = $7
            OR lease_until NOT BETWEEN clock_timestamp() AND clock_timestamp() + interval '10 minutes')
       FOR UPDATE
), ran AS (
    UPDATE crm.tenant_sync_runs AS r SET status = 'superseded', ended_at = clock_timestamp()
      FROM free WHERE r.tenant_id = free.tenant_id AND r.status = 'in_progress'
), taken AS (
    UPDATE crm.tenant_syncs AS s
       SET token = s.token + 1, holder = $2, lease_until = clock_timestamp() + $3::float8 * interval '1 second',
           correlation_id = $4, status = 'in_progress', attempts = s.attempts + 1, error = NULL, requested_at = NULL,
           phase = CASE WHEN $5::bool THEN 'independent' ELSE s.phase END,
           essential_at = CASE WHEN $5::bool THEN NULL ELSE s.essential_at END,
           started_at = clock_timestamp(), completed_at = NULL, next_attempt_at = NULL,
           sync_method = $7, requested_method = $8, fallback_used = $9, triggered_by = $10
      FROM free WHERE s.tenant_id = free.tenant_id
    RETURNING s.token
), run AS (
    INSERT INTO crm.tenant_sync_runs (tenant_id, token, correlation_id, sync_method, requested_method, fallback_used, triggered_by)
    SELECT $1::text::uuid, token, $4, $7, $8, $9, $10 FROM taken
)
SELECT token FROM taken
