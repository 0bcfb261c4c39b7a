-- Who of these is an active user.
-- $1 ids -> id, one a row
SELECT id::text AS id FROM users WHERE id = ANY ($1::text[]::uuid[]) AND status = 'active'
