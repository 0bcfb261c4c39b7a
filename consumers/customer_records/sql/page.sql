-- Copies of one side in order of their ids, tombstones among them.
-- after text, most int, unsynced only bool -> how each came to be, its values and times
SELECT c.id, c.auth_edits, c.customer_edits, c.name_side, c.name_number, c.email_side, c.email_number,
       c.gone_auth, c.gone_customer, coalesce(t.name, c.name) AS name,
       coalesce(t.email_encrypted, c.email_encrypted) AS email_encrypted,
       t.created_at, coalesce(t.updated_at, c.gone_at) AS updated_at,
       CASE WHEN t.id IS NULL THEN c.synced_at ELSE t.last_sync_at END AS last_sync_at
  FROM customer_sync.copy AS c LEFT JOIN customer_sync.record AS t USING (id)
 WHERE c.id > $1
   AND (NOT $3::bool OR CASE WHEN t.id IS NULL THEN c.synced_at IS NULL OR c.synced_at < c.gone_at
                             ELSE t.last_sync_at IS NULL OR t.last_sync_at < t.updated_at END)
 ORDER BY c.id
 LIMIT $2
