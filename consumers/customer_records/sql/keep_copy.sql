-- How a copy came to be; one that is held to be new writes over no other.
-- id, both edits, name's and e-mail's side and number, both gone, name and e-mail of a tombstone, new bool -> nothing
INSERT INTO customer_sync.copy AS c
       (id, auth_edits, customer_edits, name_side, name_number, email_side, email_number, gone_auth, gone_customer,
        name, email_encrypted, gone_at, synced_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::text, $11,
        CASE WHEN $10::text IS NULL THEN NULL ELSE clock_timestamp() END, NULL)
    ON CONFLICT (id) DO UPDATE
   SET auth_edits = excluded.auth_edits, customer_edits = excluded.customer_edits,
       name_side = excluded.name_side, name_number = excluded.name_number,
       email_side = excluded.email_side, email_number = excluded.email_number,
       gone_auth = excluded.gone_auth, gone_customer = excluded.gone_customer,
       name = excluded.name, email_encrypted = excluded.email_encrypted, gone_at = excluded.gone_at,
       synced_at = NULL
 WHERE NOT $12::bool
