-- Errors of users that were applied are over; what was recorded in this very transaction is not.
-- $1 users -> nothing
UPDATE sync_errors SET resolved = true, resolved_at = now()
 WHERE user_id = ANY ($1::text[]) AND NOT resolved AND created_at < now()
