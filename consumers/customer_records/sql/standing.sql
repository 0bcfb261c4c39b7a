-- How one side stands.
-- -> records, unsynced, open conflicts, quarantined, seconds since anything was synced
SELECT (SELECT count(*) FROM customer_sync.record) AS records,
       (SELECT count(*) FROM customer_sync.record WHERE last_sync_at IS NULL OR last_sync_at < updated_at)
     + (SELECT count(*) FROM customer_sync.copy
         WHERE gone_at IS NOT NULL AND (synced_at IS NULL OR synced_at < gone_at)) AS unsynced,
       (SELECT count(*) FROM customer_sync.conflict WHERE resolved_at IS NULL) AS conflicts,
       (SELECT count(*) FROM customer_sync.quarantine) AS quarantined,
       extract(epoch FROM clock_timestamp() - (SELECT max(last_sync_at) FROM customer_sync.record))::float8 AS age
