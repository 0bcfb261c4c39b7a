-- How many syncs have been due for a while, and nobody makes them.
-- $1 seconds -> number
SELECT count(*) FROM crm.tenant_syncs
 WHERE (lease_until IS NULL OR lease_until < clock_timestamp() - $1::float8 * interval '1 second')
   AND (requested_at < clock_timestamp() - $1::float8 * interval '1 second'
        OR status = 'in_progress' AND started_at < clock_timestamp() - $1::float8 * interval '1 second'
        OR next_attempt_at < clock_timestamp() - $1::float8 * interval '1 second'
           AND error ->> 'retryable' IS DISTINCT FROM 'false')
