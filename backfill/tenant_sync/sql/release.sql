-- Take a tenant's lease away from whoever has it; waits for the transaction that its run is in, and no later one writes.
-- $1 tenant, $2 actor -> (token, whether there was a lease, its holder), or no row where nobody ever synced the tenant
WITH before AS (
    SELECT tenant_id, token, holder, status FROM crm.tenant_syncs WHERE tenant_id = $1::text::uuid FOR UPDATE
), freed AS (
    UPDATE crm.tenant_syncs AS s
       SET token = s.token + 1, lease_until = NULL, status = 'pending', next_attempt_at = clock_timestamp()
      FROM before WHERE s.tenant_id = before.tenant_id AND before.status = 'in_progress'
    RETURNING s.tenant_id
), run AS (
    UPDATE crm.tenant_sync_runs AS r SET status = 'superseded', ended_at = clock_timestamp()
      FROM before, freed
     WHERE r.tenant_id = freed.tenant_id AND r.token = before.token AND r.status = 'in_progress'
), noted AS (
    INSERT INTO crm.tenant_sync_notes (tenant_id, actor, action, detail)
    SELECT tenant_id, $2, 'lock removed', concat('token ', token, ' of ', coalesce(holder, 'nobody')) FROM before
)
SELECT before.token, before.status = 'in_progress' AS released, before.holder FROM before
