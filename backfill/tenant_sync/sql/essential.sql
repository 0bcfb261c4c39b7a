-- The essential data is in.
-- $1 tenant, $2 token -> 1, or no row when another run has the lease
WITH mine AS (
    UPDATE crm.tenant_syncs SET phase = 'dependent', essential_at = clock_timestamp()
     WHERE tenant_id = $1::text::uuid AND token = $2
    RETURNING tenant_id, token, essential_at
), run AS (
    UPDATE crm.tenant_sync_runs AS r SET essential_at = mine.essential_at
      FROM mine WHERE r.tenant_id = mine.tenant_id AND r.token = mine.token
)
SELECT 1 FROM mine
