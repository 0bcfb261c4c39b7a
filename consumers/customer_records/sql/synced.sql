-- Records of one side that the other side has, where they are still as they were told.
-- ids, edits of auth, edits of customer -> nothing
WITH told AS (SELECT * FROM unnest($1::text[], $2::int[], $3::int[]) AS one (id, auth, customer)),
     copies AS (
         UPDATE customer_sync.copy AS c
            SET synced_at = greatest(clock_timestamp(), c.gone_at), said_auth = told.auth, said_customer = told.customer
           FROM told
          WHERE c.id = told.id AND (c.auth_edits, c.customer_edits) = (told.auth, told.customer)
      RETURNING c.id)
UPDATE customer_sync.record AS t
   SET last_sync_at = greatest(clock_timestamp(), t.updated_at)
  FROM copies
 WHERE t.id = copies.id
