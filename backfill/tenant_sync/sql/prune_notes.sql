-- Remove old notes.
-- $1 seconds, $2 at most -> how many
WITH old AS (
    SELECT id FROM crm.tenant_sync_notes WHERE noted_at < (SELECT clock_timestamp()) - $1::float8 * interval '1 second'
     ORDER BY noted_at LIMIT $2 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM crm.tenant_sync_notes AS n USING old WHERE n.id = old.id RETURNING 1
)
SELECT count(*) FROM gone
