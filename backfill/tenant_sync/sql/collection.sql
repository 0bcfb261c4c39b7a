-- How far a collection has come.
-- $1 tenant, $2 name, $3 status, $4 fetched, $5 stored, $6 skipped, $7 failed, $8 gone, $9 error or null, $10 seconds -> nothing
INSERT INTO crm.tenant_sync_collections AS c
       (tenant_id, name, status, fetched, stored, skipped, failed, gone, error, synced_at, seconds)
VALUES ($1::text::uuid, $2, $3, $4, $5, $6, $7, $8, $9, clock_timestamp(), $10)
ON CONFLICT (tenant_id, name) DO UPDATE
   SET status = excluded.status, fetched = excluded.fetched, stored = excluded.stored, skipped = excluded.skipped,
       failed = excluded.failed, gone = excluded.gone, error = excluded.error, synced_at = excluded.synced_at,
       seconds = excluded.seconds
