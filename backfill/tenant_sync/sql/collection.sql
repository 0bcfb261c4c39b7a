-- How far a collection has come, if the run still has its lease; nobody takes it before this is committed.
-- $1 tenant, $2 token, $3 name, $4 status, $5 fetched, $6 stored, $7 skipped, $8 failed, $9 gone, $10 error or null, $11 seconds -> 1 or no row
WITH mine AS (SELECT tenant_id FROM crm.tenant_syncs WHERE tenant_id = $1::text::uuid AND token = $2 FOR KEY SHARE)
INSERT INTO crm.tenant_sync_collections AS c
       (tenant_id, name, status, fetched, stored, skipped, failed, gone, error, synced_at, seconds)
SELECT tenant_id, $3, $4, $5, $6, $7, $8, $9, $10, clock_timestamp(), $11 FROM mine
ON CONFLICT (tenant_id, name) DO UPDATE
   SET status = excluded.status, fetched = excluded.fetched, stored = excluded.stored, skipped = excluded.skipped,
       failed = excluded.failed, gone = excluded.gone, error = excluded.error, synced_at = excluded.synced_at,
       seconds = excluded.seconds
RETURNING 1
