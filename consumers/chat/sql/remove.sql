-- Remove users.
-- $1 external ids -> nothing
DELETE FROM users WHERE "externalId" = ANY ($1::text[]::uuid[])
