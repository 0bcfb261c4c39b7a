-- Users of the chat that stand for an active one of the source, in order; those marked as gone left out.
-- $1 after this id or null, $2 at most -> (id)
SELECT "externalId"::text AS id FROM users
 WHERE "externalId" IS NOT NULL AND coalesce("metaData" ->> 'status', 'active') = 'active'
   AND ($1::text IS NULL OR "externalId" > $1::text::uuid)
 ORDER BY "externalId" LIMIT $2
