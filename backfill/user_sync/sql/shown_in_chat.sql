-- How many of these users the chat shows as users of the source that may talk.
-- $1 ids -> count
SELECT count(*) FROM users
 WHERE "externalId" = ANY ($1::text[]::uuid[]) AND coalesce("metaData" ->> 'status', 'active') = 'active'
