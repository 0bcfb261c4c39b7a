-- Let go what users are about to lose to others of the same batch: an exchange of phones would fail row by row.
-- $1 rows as JSON -> nothing
WITH said AS MATERIALIZED (
    SELECT "externalId" AS id, phone, email FROM json_populate_recordset(NULL::users, $1::text::json)
)
UPDATE users AS u
   SET phone = CASE WHEN u.phone <> s.phone THEN '~' || u.id ELSE u.phone END,
       email = CASE WHEN u.email = s.email THEN u.email END
  FROM said AS s
 WHERE u."externalId" = s.id
   AND (u.phone <> s.phone AND EXISTS (SELECT FROM said AS o WHERE o.phone = u.phone)
        OR u.email IS DISTINCT FROM s.email AND EXISTS (SELECT FROM said AS o WHERE o.email = u.email))
