-- One copy of one side.
-- id text -> as a page has it and whether its row stands, or nothing
SELECT c.id, c.auth_edits, c.customer_edits, c.name_side, c.name_number, c.email_side, c.email_number,
       c.gone_auth, c.gone_customer, coalesce(t.name, c.name) AS name,
       coalesce(t.email_encrypted, c.email_encrypted) AS email_encrypted,
       t.created_at, coalesce(t.updated_at, c.gone_at) AS updated_at,
       CASE WHEN t.id IS NULL THEN c.synced_at ELSE t.last_sync_at END AS last_sync_at,
       t.id IS NOT NULL AS stands
  FROM customer_sync.copy AS c LEFT JOIN customer_sync.record AS t USING (id)
 WHERE c.id = $1
