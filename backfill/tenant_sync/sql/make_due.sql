-- Let failed syncs be tried again at once instead of when their time has come.
-- $1 actor -> how many
WITH due AS (
    UPDATE crm.tenant_syncs SET next_attempt_at = clock_timestamp()
     WHERE next_attempt_at > clock_timestamp() AND error ->> 'retryable' IS DISTINCT FROM 'false'
    RETURNING 1
), noted AS (
    INSERT INTO crm.tenant_sync_notes (actor, action, detail)
    SELECT $1, 'reset', concat(count(*), ' made due') FROM due
)
SELECT count(*) FROM due
