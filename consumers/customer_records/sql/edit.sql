-- Somebody makes a record or edits it; the table's trigger counts that.
-- id, name, e-mail sealed, its index -> nothing
INSERT INTO customer_sync.record AS t (id, name, email_encrypted, email_index)
VALUES ($1, $2, $3, $4)
    ON CONFLICT (id) DO UPDATE
   SET name = excluded.name, email_encrypted = excluded.email_encrypted, email_index = excluded.email_index
