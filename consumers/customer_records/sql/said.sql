-- Copies that the stream has had, or that came by it, where they are still as they were.
-- ids, edits of auth, edits of customer -> nothing
UPDATE customer_sync.copy AS c SET said_auth = told.auth, said_customer = told.customer
  FROM unnest($1::text[], $2::int[], $3::int[]) AS told (id, auth, customer)
 WHERE c.id = told.id AND (c.auth_edits, c.customer_edits) = (told.auth, told.customer)
