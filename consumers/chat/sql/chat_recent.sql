-- Users of the chat changed within the last hour.
-- nothing -> their number
SELECT count(*) FROM users WHERE "externalId" IS NOT NULL AND "updatedAt" > now() - interval '1 hour'
