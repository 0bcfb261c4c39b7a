-- Types of the errors that ended runs lately.
-- $1 seconds -> (type, runs), the most frequent first
SELECT error_type AS type, count(*) AS runs FROM crm.tenant_sync_runs
 WHERE ended_at > (SELECT clock_timestamp()) - $1::float8 * interval '1 second' AND status = 'failed'
 GROUP BY error_type ORDER BY count(*) DESC, error_type
