-- Give users another status, where people of the chat see it.
-- $1 external ids, $2 statuses -> nothing
UPDATE users AS u
   SET "metaData" = coalesce(u."metaData"::jsonb, '{}') || jsonb_build_object('status', m.status), "isOnline" = false,
       "updatedAt" = now()
  FROM unnest($1::text[]::uuid[], $2::text[]) AS m (id, status)
 WHERE u."externalId" = m.id
