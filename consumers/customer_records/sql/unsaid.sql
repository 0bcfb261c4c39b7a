-- Copies of one side that the stream has not had as they are, in order of their ids; not those that do not open.
-- after text, most int -> how each came to be, its values and times
SELECT c.id, c.auth_edits, c.customer_edits, c.name_side, c.name_number, c.email_side, c.email_number,
       c.gone_auth, c.gone_customer, coalesce(t.name, c.name) AS name,
       coalesce(t.email_encrypted, c.email_encrypted) AS email_encrypted,
       t.created_at, coalesce(t.updated_at, c.gone_at) AS updated_at, t.last_sync_at
  FROM customer_sync.copy AS c LEFT JOIN customer_sync.record AS t USING (id)
 WHERE c.id > $1 AND (c.auth_edits <> c.said_auth OR c.customer_edits <> c.said_customer)
   AND NOT EXISTS (SELECT FROM customer_sync.quarantine AS q WHERE q.id = c.id)
 ORDER BY c.id
 LIMIT $2
