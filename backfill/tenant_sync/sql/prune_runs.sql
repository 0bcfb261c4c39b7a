-- Remove runs that ended long ago; the last one of each tenant stays.
-- $1 seconds, $2 at most -> how many
WITH old AS (
    SELECT r.tenant_id, r.token FROM crm.tenant_sync_runs AS r
     WHERE r.ended_at < (SELECT clock_timestamp()) - $1::float8 * interval '1 second'
       AND r.token < (SELECT max(l.token) FROM crm.tenant_sync_runs AS l WHERE l.tenant_id = r.tenant_id)
     ORDER BY r.ended_at LIMIT $2 FOR UPDATE OF r SKIP LOCKED
), gone AS (
    DELETE FROM crm.tenant_sync_runs AS r USING old
     WHERE r.tenant_id = old.tenant_id AND r.token = old.token RETURNING 1
)
SELECT count(*) FROM gone
