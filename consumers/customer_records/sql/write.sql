-- A record of one side as a sync has it; who created it when stays as it was.
-- id, name, e-mail sealed, its index, version, created at, updated at -> nothing
INSERT INTO customer_sync.record AS t (id, name, email_encrypted, email_index, sync_version, created_at, updated_at, last_sync_at)
VALUES ($1, $2, $3, $4, $5, coalesce($6, clock_timestamp()), coalesce($7, clock_timestamp()), NULL)
    ON CONFLICT (id) DO UPDATE
   SET name = excluded.name, email_encrypted = excluded.email_encrypted, email_index = excluded.email_index,
       sync_version = excluded.sync_version, updated_at = excluded.updated_at, last_sync_at = NULL
